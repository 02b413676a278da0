"""What the daemon adds to the page of the evidence."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOW, a_decision, a_run
from trainer_daemon.adapters.ledger.rows import Judged
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.rules import outcome
from trainer_daemon.policy.runs import RunState
from trainer_daemon.reporting import Reported, report_of

RUN = a_run(RunState.TRAINED)
RULE = outcome("min_gain[log_loss]", passed=False, sentence="log_loss is worse")


def judged(period: str, *, days: int, state: RunState = RunState.REJECTED, run_key: str = "") -> Judged:
    """A month that was judged so many days later."""
    at = NOW + timedelta(days=days)
    metrics = {"candidate": {"log_loss": 0.5}, "champion": {"log_loss": 0.6}}
    return Judged(run_key=run_key or period, period=period, state=state, version=period[-1], at=at, **metrics)


def reported(became: RunState, **decision: object) -> Reported:
    """The page's data of a run that was judged on the third day."""
    months = (
        judged("2025-04", days=4),
        judged("2025-03", days=3, state=RunState.TRAINED, run_key=RUN.key),
        judged("2025-02", days=1),
        judged("2025-01", days=2, state=RunState.PROMOTED),
    )
    made = a_decision(Verdict.REJECT, outcomes=(RULE,), **decision)
    return Reported(run=RUN, decision=made, became=became, evaluation={}, judged=months, metric="log_loss")


@pytest.mark.parametrize(
    ("became", "champion", "headline"),
    [
        (RunState.PROMOTED, "1", "Promoted: version 2 in place of champion version 1"),
        (RunState.PROMOTED, "", "Promoted: version 2 is the first champion"),
        (RunState.REJECTED, "1", "Rejected: champion version 1 stays"),
        (RunState.REJECTED, "", "Rejected: there is no champion yet"),
        (RunState.AWAITING_APPROVAL, "1", "Waits for approval: version 2 passed the rules"),
        (RunState.SUPERSEDED, "1", "Judged, but the run is superseded"),
    ],
)
def test_headline_says_what_became_of_the_run(became: RunState, champion: str, headline: str) -> None:
    """Not what state it was in when the page was made."""
    assert f"<strong>{headline}</strong>" in report_of(reported(became, champion_version=champion))


def test_rules_are_told_with_their_outcome() -> None:
    """As the judge said it."""
    page = report_of(reported(RunState.REJECTED))
    assert "log_loss is worse<small>min_gain[log_loss]</small>" in page
    assert "✗ failed" in page


def test_periods_are_those_until_then_in_their_order_with_the_run_as_what_it_becomes() -> None:
    """The ledger does not know yet that it is promoted, and a page made later shows no later months."""
    page = report_of(reported(RunState.PROMOTED))
    rows = page[page.index("<h2>All periods") :]
    assert [rows.index(f'<th scope="row">{period}') for period in ("2025-03", "2025-02", "2025-01")] == sorted(
        rows.index(f'<th scope="row">{period}') for period in ("2025-01", "2025-02", "2025-03")
    )
    assert "2025-04" not in rows
    assert rows.count(">promoted</td>") == 2


def test_run_that_is_not_among_the_judged_ones_has_a_page_of_all_others() -> None:
    """As after five hundred later ones."""
    page = report_of(replace(reported(RunState.REJECTED), run=replace(RUN, key="f" * 64)))
    assert "2025-04" in page
