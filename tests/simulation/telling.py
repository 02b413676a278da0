"""What a person reads of a simulation: the trace of a history that failed, and one line of figures."""

from collections import Counter
from dataclasses import fields

from tests.simulation.choices import words
from tests.simulation.history import Course


def trace(seed: str, course: Course) -> str:
    """A history that broke a promise: how it went, in words, and what was found.

    Args:
        seed: Of the history before it was made smaller.
        course: The history.
    """
    setting = ", ".join(f"{item.name} = {getattr(course.plan.setting, item.name)}" for item in fields(course.plan.setting))
    steps = [f"  {number:3}. {words(choice)}" for number, choice in enumerate(course.plan.choices, 1)]
    broken = [f"  {violation.invariant}: {violation.facts}" for violation in course.violations]
    return "\n".join([f"seed {seed}: {setting}", *steps, "       then all comes to rest; broken is:", *broken])


def figures(histories: int, steps: int, troubles: Counter[str], *, violations: int) -> str:
    """The line at the end."""
    told = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in sorted(troubles.items()))
    return f"{histories:,} histories, {steps:,} steps; {told or 'no trouble'}; {violations} violations"
