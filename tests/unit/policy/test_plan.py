"""What becomes of an event."""

from dataclasses import replace

import pytest

from tests.builders import MODEL, NOW, a_drop, a_drop_event, a_policy, a_run, an_operator_event
from trainer_daemon.policy.events import DatasetVersion, Event, EventKind, Source
from trainer_daemon.policy.plan import Enqueue, Pending, Proposal, Revive, Settle, disappointed, plan, propose, window
from trainer_daemon.policy.runs import Run, RunState


def pending(event: Event, **changes: object) -> Pending:
    """The event with a proposal for its drop, which is current."""
    drop = event.drop or a_drop()
    return replace(Pending(event=event, current=event.drop, proposal=Proposal(drops=(drop,), key="k")), **changes)  # type: ignore[arg-type]


def test_new_drop_starts_a_run() -> None:
    """The plain case."""
    assert isinstance(plan(pending(a_drop_event())), Enqueue)


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.SUPERSEDED])
def test_same_bytes_start_nothing(state: RunState) -> None:
    """Whatever became of their run, unless it was superseded."""
    run = a_run(state)
    planned = plan(pending(a_drop_event(a_drop(generation="2")), same_content=(run,)))
    assert isinstance(planned, Settle)
    assert planned.outcome == "duplicated"
    assert planned.run == run
    assert run.name in planned.why


def test_superseded_bytes_that_are_current_again_are_trained() -> None:
    """A, then B, then A again: A is what is there now."""
    run = a_run(RunState.SUPERSEDED)
    assert plan(pending(a_drop_event(), same_key=run)) == Revive(event=a_drop_event(), run=run, why="its bytes are current again")


def test_drop_whose_bytes_were_replaced_is_not_trained() -> None:
    """Only what is there now counts."""
    planned = plan(pending(a_drop_event(), current=a_drop(content="b", generation="2")))
    assert isinstance(planned, Settle)
    assert planned.outcome == "superseded"


def test_same_bytes_under_a_window_of_other_drops_are_another_run() -> None:
    """The identity of a run is all of its drops."""
    march, may = a_drop("2025-03"), a_drop("2025-05")
    proposal = Proposal(drops=(march, may), key="k")
    assert isinstance(plan(pending(a_drop_event(may), proposal=proposal, same_content=(a_run(RunState.PROMOTED, may),))), Enqueue)


def test_run_that_ended_for_its_own_drops_sake_disappoints_the_earlier_months_of_its_window() -> None:
    """Newer bytes of the newest month, or that it is bad, say nothing about a correction that the run was to train as well."""
    march, april, may = drops("2025-03", "2025-04", "2025-05")
    run = a_run(RunState.SUPERSEDED, march, april, may)
    assert disappointed(run, again=False) == (march.uri, april.uri)
    assert disappointed(a_run(RunState.QUARANTINED, may), again=False) == ()


def test_run_that_ended_for_another_months_sake_disappoints_whatever_counted_on_it() -> None:
    """Its own month, and a schedule or an operator that named no month, too."""
    march, may = drops("2025-03", "2025-05")
    assert disappointed(a_run(RunState.SUPERSEDED, march, may), again=True) == (march.uri, may.uri, "")


def test_skipped_history_is_settled() -> None:
    """What `start_from` leaves out is recorded, not trained."""
    planned = plan(pending(a_drop_event(skip="old")))
    assert planned == Settle(event=a_drop_event(skip="old"), outcome="skipped", why="old")


def test_operator_gets_an_equal_run_only_by_force() -> None:
    """Otherwise it is named, with the way to insist."""
    run = a_run(RunState.REJECTED)
    planned = plan(pending(an_operator_event(a_drop()), same_key=run))
    assert isinstance(planned, Settle)
    assert "--force" in planned.why
    assert isinstance(plan(pending(an_operator_event(a_drop(), force=True))), Enqueue)
    forced = plan(pending(an_operator_event(a_drop(), force=True), same_key=run))
    assert isinstance(forced, Settle)
    assert forced.run == run


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELED])
def test_operator_revives_a_run_that_ended_without_a_decision(state: RunState) -> None:
    """The same run, another attempt."""
    assert isinstance(plan(pending(an_operator_event(a_drop()), same_key=a_run(state))), Revive)


def test_operator_may_train_what_the_code_of_yesterday_trained() -> None:
    """An arriving drop must not, an operator means the code of now."""
    earlier: Run = a_run(RunState.PROMOTED)
    assert isinstance(plan(pending(an_operator_event(a_drop()), same_content=(earlier,))), Enqueue)


def test_request_without_any_drop_is_rejected() -> None:
    """There is nothing to train on."""
    planned = plan(pending(an_operator_event(), proposal=None))
    assert isinstance(planned, Settle)
    assert planned.outcome == "rejected"


def drops(*periods: str) -> tuple[DatasetVersion, ...]:
    """One drop per period."""
    return tuple(a_drop(period) for period in periods)


def test_window_is_the_newest_months_up_to_the_target() -> None:
    """Oldest first; later months do not count."""
    known = drops("2025-06", "2025-03", "2025-05", "2025-01")
    assert [drop.period for drop in window(a_drop("2025-05"), 2, known)] == ["2025-03", "2025-05"]
    assert [drop.period for drop in window(a_drop("2025-05"), 9, known)] == ["2025-01", "2025-03", "2025-05"]
    assert window(a_drop("2025-05"), 1, known) == (a_drop("2025-05"),)


def test_corrected_month_inside_the_newest_window_retrains_the_newest() -> None:
    """Its own month is no longer what customers are scored by."""
    known = (a_drop("2025-05", content="fixed", generation="2"), a_drop("2025-06"))
    proposal = propose(a_drop_event(known[0]), a_policy(window_months=2), known, is_correction=True)
    assert proposal is not None
    assert proposal.drops == known


def test_month_that_arrives_for_the_first_time_gets_a_run_of_its_own() -> None:
    """Whatever else arrived with it."""
    known = (a_drop("2025-05"), a_drop("2025-06"))
    proposal = propose(a_drop_event(known[0]), a_policy(window_months=2), known)
    assert proposal is not None
    assert proposal.drop == known[0]


def test_request_for_no_drop_means_the_newest() -> None:
    """A schedule or an operator without a period."""
    schedule = Event(id="cron:x", kind=EventKind.SCHEDULE, model=MODEL, source=Source.CRON, occurred_at=NOW, force=True)
    proposal = propose(schedule, a_policy(), drops("2025-03", "2025-06", "2025-05"))
    assert proposal is not None
    assert proposal.drop.period == "2025-06"
    assert propose(schedule, a_policy(), ()) is None


def test_forced_requests_have_keys_of_their_own() -> None:
    """Each one is a run; the same one twice is not."""
    known = drops("2025-03")
    keys = [
        propose(an_operator_event(id=name, force=force), a_policy(), known)
        for name, force in [("1", True), ("2", True), ("3", False)]
    ]
    assert len({proposal.key for proposal in keys if proposal}) == 3
