"""The ledger on every database: what must not happen twice is refused by the database."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from tests.builders import MODEL, NOW, a_champion, a_decision, a_drop, a_drop_event, a_policy, an_intervention, an_operator_event
from tests.integration.ledger_story import advanced
from trainer_daemon.adapters.ledger import Change, Ledger
from trainer_daemon.adapters.ledger.tables import decisions, events
from trainer_daemon.errors import PermanentError, StaleStateError
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.events import DatasetVersion, Rejection, Source
from trainer_daemon.policy.plan import propose
from trainer_daemon.policy.runs import Run, RunState


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger(ledger_url) as opened:
        yield opened


def a_queued_run(ledger: Ledger, drop: DatasetVersion | None = None) -> Run:
    """A run in the backlog, with its event."""
    event = a_drop_event(drop or a_drop())
    ledger.record([event], NOW)
    proposal = propose(event, a_policy(), ledger.newest_drops(MODEL, 1))
    assert event.drop
    assert proposal
    return ledger.enqueue(
        event, replace(proposal, drops=(event.drop,), key=f"{event.drop.period}{event.drop.checksum}"), attempts_max=3, now=NOW
    )


def test_redelivered_event_is_recorded_once(ledger: Ledger) -> None:
    """In one batch, and again later."""
    assert ledger.record([a_drop_event(), a_drop_event()], NOW) == [True, False]
    assert ledger.record([a_drop_event()], NOW) == [False]


def test_notification_that_comes_after_a_listing_is_remembered(ledger: Ledger) -> None:
    """By whichever daemon it is recorded; that a listing finds the same drop once more is no notification."""
    first, second, third = (a_drop_event(a_drop(month), source=Source.LISTING) for month in ("2025-03", "2025-05", "2025-06"))
    told = [replace(event, source=Source.PUBSUB) for event in (first, third)]
    ledger.record([first, second], NOW)
    assert ledger.announced([first.id, second.id]) == frozenset()
    assert ledger.record([*told, second], NOW) == [False, True, False]
    assert ledger.announced([first.id, second.id, third.id]) == {first.id, third.id}


def test_pending_events_come_in_the_order_of_their_arrival(ledger: Ledger) -> None:
    """Each until somebody has acted on it."""
    first, second = a_drop_event(a_drop("2025-06")), a_drop_event(a_drop("2025-03"))
    ledger.record([first, second], NOW)
    assert ledger.next_pending(MODEL) == first
    ledger.settle(first, outcome="duplicated", why="w")
    assert ledger.next_pending(MODEL) == second
    with pytest.raises(StaleStateError):
        ledger.settle(first, outcome="duplicated", why="w")


def test_rejected_event_is_kept_and_never_pending(ledger: Ledger) -> None:
    """Once, however often it is seen."""
    rejection = Rejection(event=a_drop_event(), subject="d", why="no such month")
    assert ledger.record([rejection, rejection], NOW) == [True, False]
    assert ledger.record([rejection], NOW) == [False]
    assert ledger.next_pending(MODEL) is None
    assert ledger.current(MODEL, [a_drop().uri]) == {}


def test_what_arrives_later_is_current_where_the_store_has_no_order(ledger: Ledger) -> None:
    """A folder's versions are ordered by arrival."""
    newer = a_drop(content="b", generation="0")
    ledger.record([a_drop_event(), a_drop_event(newer)], NOW)
    assert ledger.current(MODEL, [newer.uri, "file:///other"]) == {newer.uri: newer}
    assert ledger.signatures(MODEL, [newer.uri, "file:///other"]) == {newer.uri: "s"}


def test_older_generation_that_comes_late_changes_nothing_where_the_store_orders_them(ledger: Ledger) -> None:
    """Redelivery reorders."""
    newer, older = a_drop(content="b", generation="20"), a_drop(generation="10")
    ledger.record([a_drop_event(newer, order=20), a_drop_event(older, order=10)], NOW)
    assert ledger.current(MODEL, [newer.uri]) == {newer.uri: newer}


def test_request_for_old_bytes_does_not_make_them_current_again(ledger: Ledger) -> None:
    """An operator's wish says nothing about what is in the bucket."""
    newer = a_drop(content="b", generation="2")
    ledger.record([a_drop_event(), a_drop_event(newer), an_operator_event(a_drop())], NOW)
    assert ledger.current(MODEL, [newer.uri]) == {newer.uri: newer}


def test_newest_drops_are_by_period_up_to_a_bound(ledger: Ledger) -> None:
    """Whatever order they came in."""
    ledger.record([a_drop_event(a_drop(period)) for period in ("2025-06", "2025-03", "2025-05")], NOW)
    assert [drop.period for drop in ledger.newest_drops(MODEL, 2)] == ["2025-06", "2025-05"]
    assert [drop.period for drop in ledger.newest_drops(MODEL, 2, up_to="2025-05")] == ["2025-05", "2025-03"]


def test_run_key_exists_once(ledger: Ledger) -> None:
    """The second event for it is told to look again, and stays pending."""
    a_queued_run(ledger)
    event = an_operator_event(a_drop())
    ledger.record([event], NOW)
    proposal = propose(event, a_policy(), [a_drop()])
    assert proposal
    with pytest.raises(StaleStateError, match="exists already"):
        ledger.enqueue(event, replace(proposal, key="2025-03sha256:a"), attempts_max=3, now=NOW)
    assert ledger.next_pending(MODEL) == event


def test_model_has_one_open_run(ledger: Ledger) -> None:
    """The partial unique index refuses the second."""
    march, may = a_queued_run(ledger), a_queued_run(ledger, a_drop("2025-05"))
    ledger.advance(march, RunState.RUNNING, why="submitted", now=NOW)
    with pytest.raises(StaleStateError, match="another open run"):
        ledger.advance(may, RunState.RUNNING, why="submitted", now=NOW)
    assert ledger.occupied([MODEL]) == 1


def test_backlog_is_by_period_then_arrival(ledger: Ledger) -> None:
    """A late old month comes first."""
    june, march = a_queued_run(ledger, a_drop("2025-06")), a_queued_run(ledger, a_drop("2025-03"))
    again = a_queued_run(ledger, a_drop("2025-03", content="b", generation="2"))
    assert [run.key for run in ledger.live_runs(MODEL)] == [march.key, again.key, june.key]


def test_move_is_refused_when_somebody_else_moved_the_run(ledger: Ledger) -> None:
    """State and attempt must be those that were seen."""
    seen = a_queued_run(ledger)
    ledger.advance(seen, RunState.RUNNING, why="submitted", now=NOW)
    with pytest.raises(StaleStateError, match="no longer QUEUED"):
        ledger.advance(seen, RunState.SUPERSEDED, why="newer bytes", now=NOW)
    assert ledger.run(seen.key).state is RunState.RUNNING


def test_move_that_does_not_exist_is_refused(ledger: Ledger) -> None:
    """Whoever asks."""
    with pytest.raises(PermanentError, match="cannot go from QUEUED to PROMOTED"):
        ledger.advance(a_queued_run(ledger), RunState.PROMOTED, why="w", now=NOW)


def test_only_one_of_many_threads_moves_a_run(ledger: Ledger) -> None:
    """They all saw the same state."""
    run = a_queued_run(ledger)
    barrier = threading.Barrier(8)

    def move() -> bool:
        barrier.wait()
        try:
            ledger.advance(run, RunState.RUNNING, why="submitted", now=NOW)
        except StaleStateError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        moved = [future.result() for future in [pool.submit(move) for _ in range(8)]]
    assert moved.count(True) == 1


def test_failed_run_lives_while_attempts_are_left(ledger: Ledger) -> None:
    """Then it is over."""
    run = a_queued_run(ledger)
    for attempt in (1, 2, 3):
        assert run.attempt == attempt
        run = advanced(ledger, run, RunState.RUNNING, why="submitted", now=NOW)
        run = advanced(ledger, run, RunState.FAILED, why="boom", now=NOW, change=Change(error="boom"))
        if attempt < 3:
            later = NOW + timedelta(seconds=10)
            run = advanced(ledger, run, RunState.QUEUED, why="again", now=NOW, change=Change(next_attempt=True, ready_at=later))
            assert run.ready_at == later
    assert ledger.live_runs(MODEL) == ()
    assert ledger.failed_since(NOW) == 1
    assert ledger.failed_since(NOW + timedelta(seconds=1)) == 0


def test_failure_that_is_final_is_not_tried_again(ledger: Ledger) -> None:
    """The orchestrator refused it."""
    ledger.advance(a_queued_run(ledger), RunState.FAILED, why="refused", now=NOW, change=Change(final=True))
    assert ledger.live_runs(MODEL) == ()


def test_revived_run_has_a_new_attempt_and_room_for_it(ledger: Ledger) -> None:
    """So its name on the orchestrator is new too."""
    run = advanced(ledger, a_queued_run(ledger), RunState.SUPERSEDED, why="newer bytes", now=NOW)
    event = an_operator_event(a_drop())
    ledger.record([event], NOW)
    revived = ledger.revive(event, run, why="current again", now=NOW)
    assert (revived.state, revived.attempt, revived.attempts_max) == (RunState.QUEUED, 2, 4)
    assert revived.name != run.name
    assert ledger.next_pending(MODEL) is None


def test_decision_belongs_to_its_attempt(ledger: Ledger) -> None:
    """Evidence that was made again needs a decision of its own."""
    run = advanced(ledger, a_queued_run(ledger), RunState.RUNNING, why="submitted", now=NOW)
    run = advanced(ledger, run, RunState.TRAINED, why="done", now=NOW, change=Change(model_version="2"))
    ledger.record_decision(run, a_decision(), {"format": 1}, NOW)
    assert ledger.run(run.key).decision == a_decision()
    change = Change(next_attempt=True, extra_attempt=True)
    assert advanced(ledger, run, RunState.QUEUED, why="champion moved", now=NOW, change=change).decision is None


def test_judged_runs_are_told_with_their_metrics_and_last_decision(ledger: Ledger) -> None:
    """Newest first; whatever is no number among them is absent, and so is everything of an evaluation that is none."""
    evaluations: tuple[dict[str, object], ...] = (
        {"candidate": {"metrics": {"log_loss": 0.4, "ece": None, "f1": "high"}}, "champion": {"metrics": {"log_loss": 0.5}}},
        {"candidate": {"metrics": {"log_loss": 0.3}}, "champion": None},
        {"error": "evaluation.json is not JSON", "candidate": "?", "champion": [1]},
    )
    for number, (period, document) in enumerate(zip(("2025-01", "2025-02", "2025-03"), evaluations, strict=True)):
        run = advanced(ledger, a_queued_run(ledger, a_drop(period)), RunState.RUNNING, why="submitted", now=NOW)
        run = advanced(ledger, run, RunState.TRAINED, why="done", now=NOW)
        for again in (0, 1):
            ledger.record_decision(run, a_decision(), {**document, "attempt": again}, NOW + timedelta(hours=2 * number + again))
            assert ledger.evaluation(run.key, run.attempt)["attempt"] == again
            change = Change(next_attempt=True, extra_attempt=True)
            if not again:
                run = advanced(ledger, run, RunState.QUEUED, why="again", now=NOW, change=change)
                run = advanced(ledger, run, RunState.RUNNING, why="submitted", now=NOW)
                run = advanced(ledger, run, RunState.TRAINED, why="done", now=NOW)
        ledger.advance(run, RunState.REJECTED, why="worse", now=NOW)
    third, second, first = ledger.judged(MODEL)
    assert (first.period, first.version, first.state) == ("2025-01", "2", RunState.REJECTED)
    assert (first.at, second.at, third.at) == tuple(NOW + timedelta(hours=hours) for hours in (1, 3, 5))
    assert (first.candidate, first.champion) == ({"log_loss": 0.4}, {"log_loss": 0.5})
    assert (second.candidate, second.champion) == ({"log_loss": 0.3}, {})
    assert (third.candidate, third.champion) == ({}, {})
    assert ledger.judged("another") == ()
    assert ledger.evaluation(run.key, 7) == {}


def test_promotion_moves_run_and_champion_together(ledger: Ledger) -> None:
    """One transaction."""
    run = advanced(ledger, a_queued_run(ledger), RunState.RUNNING, why="submitted", now=NOW)
    run = advanced(ledger, run, RunState.TRAINED, why="done", now=NOW)
    assert ledger.known_champion(MODEL) is None
    champion = a_champion("2", schema={"columns": {"Tenure": "numeric"}})
    ledger.promoted(run, champion, why="better", now=NOW)
    assert ledger.run(run.key).state is RunState.PROMOTED
    assert ledger.known_champion(MODEL) == champion
    with pytest.raises(StaleStateError):
        ledger.promoted(run, a_champion("3"), why="better", now=NOW)
    assert ledger.known_champion(MODEL) == champion


def test_cancellation_can_be_asked_for_until_the_run_has_ended(ledger: Ledger) -> None:
    """And shows as a change that a daemon has to look at."""
    run = a_queued_run(ledger)
    before = ledger.last_change()
    ledger.request_cancel(run, "ann: wrong month")
    assert ledger.run(run.key).ending_reason == "ann: wrong month"
    assert ledger.last_change() != before
    ended = advanced(ledger, run, RunState.CANCELED, why="ann", now=NOW)
    assert ended.ending is None
    with pytest.raises(StaleStateError, match="has ended"):
        ledger.request_cancel(ended, "again")


def test_same_content_is_found_whatever_its_generation(ledger: Ledger) -> None:
    """Forced runs do not count: they were wanted besides."""
    run = a_queued_run(ledger)
    assert ledger.runs_for_content(MODEL, a_drop(generation="9")) == (run,)
    assert ledger.runs_for_content(MODEL, a_drop(content="b")) == ()
    assert ledger.runs_for_content("other", a_drop()) == ()


def test_baseline_is_set_once(ledger: Ledger) -> None:
    """The first listing decides what history is."""
    assert ledger.baseline(MODEL) is None
    ledger.set_baseline(MODEL, listed=3, now=NOW)
    ledger.set_baseline(MODEL, listed=9, now=NOW + timedelta(days=1))
    assert ledger.baseline(MODEL) == NOW


def test_answer_is_given_once_to_a_run_that_waits(ledger: Ledger) -> None:
    """Nobody revokes it, and it shows as a change that a daemon has to look at."""
    run = a_queued_run(ledger)
    yes = Answer(approved=True, by="ann", reason="looks right", at=NOW)
    for state in (RunState.RUNNING, RunState.TRAINED, RunState.AWAITING_APPROVAL):
        run = advanced(ledger, run, state, why="w", now=NOW)
    before = ledger.last_change()
    ledger.answer(run, yes)
    assert ledger.last_change() != before
    assert ledger.run(run.key).answer == yes
    with pytest.raises(StaleStateError, match="somebody has answered about run"):
        ledger.answer(run, replace(yes, approved=False))
    assert ledger.run(run.key).answer == yes


def test_answer_belongs_to_its_attempt(ledger: Ledger) -> None:
    """What was approved is not the next comparison, and a run that does not wait takes none."""
    run = a_queued_run(ledger)
    yes = Answer(approved=True, by="ann", reason="looks right", at=NOW)
    with pytest.raises(StaleStateError, match="is no longer"):
        ledger.answer(replace(run, state=RunState.AWAITING_APPROVAL), yes)
    for attempt in (1, 2):
        for state in (RunState.RUNNING, RunState.TRAINED, RunState.AWAITING_APPROVAL):
            run = advanced(ledger, run, state, why="w", now=NOW)
        assert (run.attempt, run.answer) == (attempt, None)
        ledger.answer(run, yes)
        assert ledger.run(run.key).answer == yes
        run = advanced(ledger, run, RunState.QUEUED, why="w", now=NOW, change=Change(next_attempt=True, extra_attempt=True))


def test_what_a_person_asks_for_wakes_the_daemon_and_is_closed_once(ledger: Ledger) -> None:
    """In the order of asking; whoever comes second finds that it was acted on."""
    before = ledger.last_change()
    ledger.ask(an_intervention())
    ledger.ask(an_intervention("promote", version="3"))
    assert ledger.last_change() != before
    first = ledger.next_intervention(MODEL)
    assert first
    assert (first.kind, first.version, first.replaces, first.by, first.reason) == ("rollback", "1", "2", "ann", "scores are off")
    ledger.intervened(first, a_champion("1"), replaced="2", now=NOW)
    for close in (
        lambda: ledger.intervened(first, a_champion("1"), replaced="2", now=NOW),
        lambda: ledger.dismiss(first, "late", NOW),
    ):
        with pytest.raises(StaleStateError, match="what ann asked for was acted on already"):
            close()
    second = ledger.next_intervention(MODEL)
    assert second
    assert second.version == "3"
    ledger.dismiss(second, "version 3 is gone", NOW)
    assert ledger.next_intervention(MODEL) is None
    known = ledger.known_champion(MODEL)
    assert known
    assert known.version == "1"


def test_ledger_survives_reopening(ledger: Ledger, ledger_url: str) -> None:
    """Everything is on disk when a call returns, without a close."""
    run = a_queued_run(ledger)
    with Ledger(ledger_url) as other:
        assert other.run(run.key) == run


@pytest.mark.parametrize("statement", ["UPDATE transition SET why = 'x'", "DELETE FROM transition"])
def test_transitions_can_only_be_added(ledger: Ledger, statement: str) -> None:
    """History is not rewritten, not even by hand."""
    a_queued_run(ledger)
    with pytest.raises(IntegrityError, match="append-only"), ledger._engine.begin() as connection:
        connection.execute(text(statement))


def test_names_differ_by_case_and_are_sorted_by_their_bytes(ledger: Ledger) -> None:
    """Whatever a database's locale thinks of capitals, accents and punctuation; a long name is a name, too."""
    names = ["B.csv", "a.csv", "Ä.csv", "_a.csv", "b.csv", f"{'x' * 2000}.csv"]
    drops = [replace(a_drop(), uri=f"file:///drops/{name}") for name in names]
    ledger.record([replace(a_drop_event(drop), id=drop.uri) for drop in drops], NOW)
    found = [drop.uri for drop in ledger.newest_drops(MODEL, 99)]
    assert found == sorted((drop.uri for drop in drops), key=str.encode, reverse=True)


def test_moments_are_kept_to_the_microsecond_in_utc(ledger: Ledger) -> None:
    """Whatever zone they were told in."""
    moment = datetime(2026, 3, 29, 2, 30, 0, 123_457, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    event = replace(a_drop_event(), occurred_at=moment)
    ledger.record([event], moment)
    kept = ledger.next_pending(MODEL)
    assert kept is not None
    assert (kept.occurred_at, kept.occurred_at.tzinfo) == (moment, UTC)


def test_evidence_with_numbers_that_json_does_not_have_is_kept_without_them(ledger: Ledger) -> None:
    """A missing number fails a rule; one that no database can keep would fail the decision for ever."""
    run = advanced(ledger, a_queued_run(ledger), RunState.RUNNING, why="submitted", now=NOW)
    run = advanced(ledger, run, RunState.TRAINED, why="done", now=NOW)
    evidence = {"log_loss": float("nan"), "lift": float("inf"), "name": "Zoë \u0000"}
    ledger.record_decision(run, a_decision(), evidence, NOW)
    with ledger._engine.begin() as connection:
        assert connection.execute(select(decisions.c.evaluation)).scalar() == {
            "log_loss": None,
            "lift": None,
            "name": "Zoë \u0000",
        }


def test_name_with_a_nul_in_it_is_recorded_once(ledger: Ledger) -> None:
    """PostgreSQL keeps none, and a message that cannot be written down would come for ever."""
    event = replace(a_drop_event(), id="drop:a\0b")
    assert ledger.record([event], NOW) == [True]
    assert ledger.record([event], NOW) == [False]


def test_numbers_are_given_in_the_order_in_which_they_become_visible(ledger: Ledger) -> None:
    """Who has seen a number has seen all before it, however many write at once."""
    batches = [
        [replace(a_drop_event(a_drop(f"20{year}-{month:02}")), id=f"{year}-{month}") for month in range(1, 13)]
        for year in range(20, 28)
    ]
    with ThreadPoolExecutor(8) as pool:
        news = [future.result() for future in [pool.submit(ledger.record, batch, NOW) for batch in batches]]
    assert news == [[True] * 12] * 8
    with ledger._engine.begin() as connection:
        ids = list(connection.execute(select(events.c.id).order_by(events.c.sequence)).scalars())
    assert [ids[at : at + 12] for at in range(0, 96, 12)] == sorted(
        ([event.id for event in batch] for batch in batches), key=lambda batch: ids.index(batch[0])
    )
