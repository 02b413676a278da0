"""An operator who regrets: what was forced and rolled back while its run was under way stays away."""

from tests.simulation.bugs import ForgetsWhatWasTakenBack
from tests.simulation.choices import Choice, Kind, Plan, Setting
from tests.simulation.history import replay
from tests.simulation.replica import Makers

_STEPS = (Choice(kind=Kind.RECONCILE),) * 8
_LISTED = (Choice(kind=Kind.LIST), *_STEPS)
REGRET = Plan(
    setting=Setting(),
    choices=(
        Choice(kind=Kind.UPLOAD, month=0),
        *_LISTED,
        *(Choice(kind=Kind.RUN_PROGRESSES),) * 3,
        *_STEPS,
        Choice(kind=Kind.UPLOAD, month=1),
        *_LISTED,
        *(Choice(kind=Kind.RUN_PROGRESSES),) * 2,  # it has registered its version, and has not ended
        Choice(kind=Kind.OPERATOR_PROMOTES),
        *_STEPS,
        Choice(kind=Kind.OPERATOR_ROLLS_BACK),
        *_STEPS,
    ),
)
"""The second month is better than the first one, so that its run would promote it as soon as it has ended."""


def test_version_that_an_operator_regrets_does_not_come_back() -> None:
    """Although its run goes on, and is evaluated again against whom the operator restored."""
    assert replay(REGRET).violations == ()


def test_registry_that_forgets_the_mark_is_found_out() -> None:
    """Nothing else keeps the run from it, so it is the mark that does."""
    found = replay(REGRET, makers=Makers(registry=ForgetsWhatWasTakenBack)).violations
    assert {violation.invariant for violation in found} == {"what_was_taken_back_stays_away"}
