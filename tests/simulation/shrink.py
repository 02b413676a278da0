"""Makes a failing history small: steps and faults are removed as long as the same promise stays broken."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.simulation.choices import Choice, Fault, Plan, Setting
from tests.simulation.history import Course, replay
from tests.simulation.replica import Makers

T = TypeVar("T")
STEPS_MAX = 150_000
"""Half a minute or so; counted in steps, since a history that goes round in circles has many."""


class Shrinker:
    """Delta debugging over the choices of one history.

    Args:
        course: The history that failed.
        makers: What it was made with.
        steps_max: Give up making it smaller after so many.
    """

    def __init__(self, course: Course, *, makers: Makers, steps_max: int = STEPS_MAX) -> None:
        self._invariant = course.violations[0].invariant
        self._makers = makers
        self._left = steps_max
        self._best = course

    def shrink(self) -> Course:
        """The smallest history that was found; it breaks the same promise."""
        before = None
        while before != self._best.plan:
            before = self._best.plan
            self._reduce(lambda plan: plan.choices, lambda plan, choices: replace(plan, choices=tuple(choices)))
            self._simplify_faults()
            self._simplify_setting()
        return self._best

    def _reduce(self, get: Callable[[Plan], Sequence[T]], put: Callable[[Plan, Sequence[T]], Plan]) -> None:
        """Remove ever smaller runs of items, from the end: what comes late depends on what comes early."""
        size = max(1, len(get(self._best.plan)) // 2)
        while size:
            end = len(get(self._best.plan))
            while end > 0:
                items = get(self._best.plan)
                rest = [*items[: max(0, end - size)], *items[end:]]
                self._try(put(self._best.plan, rest))
                end -= size
            size //= 2

    def _simplify_faults(self) -> None:
        for at in range(len(self._best.plan.choices)):
            for simpler in _simpler(self._best.plan.choices[at]):
                if self._try(_with(self._best.plan, at, simpler)):
                    break

    def _simplify_setting(self) -> None:
        plain = Setting(replicas=self._best.plan.setting.replicas)
        for name in ("window_months", "backlog", "attempts_max", "start_from"):
            setting = replace(self._best.plan.setting, **{name: getattr(plain, name)})
            self._try(replace(self._best.plan, setting=setting))

    def _try(self, plan: Plan) -> bool:
        """Live the plan; whether it is a better one."""
        if self._left <= 0 or plan == self._best.plan:
            return False
        course = replay(plan, makers=self._makers)
        self._left -= course.steps
        broken = any(violation.invariant == self._invariant for violation in course.violations)
        if broken:
            self._best = replace(course, plan=replace(plan, choices=plan.choices[: len(course.plan.choices)]))
        return broken


def _with(plan: Plan, at: int, choice: Choice) -> Plan:
    return replace(plan, choices=(*plan.choices[:at], choice, *plan.choices[at + 1 :]))


def _simpler(choice: Choice) -> Iterator[Choice]:
    """The same step with less that goes wrong in it, the least first."""
    if choice.faults:
        yield replace(choice, faults=())
    for fault in choice.faults:
        for at in range(len(fault.meanwhile)):
            rest = (*fault.meanwhile[:at], *fault.meanwhile[at + 1 :])
            yield replace(choice, faults=(_doing(fault, rest),))


def _doing(fault: Fault, meanwhile: tuple[Choice, ...]) -> Fault:
    return replace(fault, meanwhile=meanwhile)
