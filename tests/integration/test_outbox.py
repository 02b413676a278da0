"""What the ledger wants told, and who gets to tell it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.builders import NOW, a_drop
from tests.integration.ledger_story import Storyteller, advanced
from trainer_daemon.adapters.ledger import Change, Ledger, Letter, Notices, Outbox
from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.errors import StaleStateError
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.notices import Addressee, NoticeKind, about_intervention
from trainer_daemon.policy.runs import Run, RunState

EVERYTHING = frozenset(NoticeKind)
OPS, CHAT = Addressee(name="ops", kinds=EVERYTHING), Addressee(name="chat", kinds=frozenset({NoticeKind.RUN_FAILED}))
LATER = NOW + timedelta(days=1)
HOUR = timedelta(hours=1)


def link_of(run: Run) -> str:
    """Of a run that was submitted."""
    return f"https://kf/{run.orchestrator_run}" if run.orchestrator_run else ""


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Storyteller]:
    """A ledger that two endpoints are told of."""
    story = Storyteller(tmp_path / "ledger.db")
    story.ledger.notices = Notices([OPS, CHAT], link_of)
    with closing(story.ledger):
        yield story


def letters(ledger: Ledger, endpoint: str = "ops", *, now: datetime = LATER) -> list[Letter]:
    """Everything that waits for an endpoint, delivered one after the other."""
    outbox, found = ledger.outbox(), []
    while isinstance(letter := outbox.take(endpoint, now=now, until=now + HOUR), Letter):
        outbox.delivered(letter, now)
        found.append(letter)
    return found


def the_letter(outbox: Outbox, endpoint: str = "ops", *, now: datetime = LATER) -> Letter:
    """The next one, which is there; nobody else gets it for an hour."""
    letter = outbox.take(endpoint, now=now, until=now + HOUR)
    assert isinstance(letter, Letter)
    return letter


def test_everything_that_somebody_wants_to_hear_is_told_once_and_in_order(story: Storyteller) -> None:
    """With the run as it stands after the move, and its link."""
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    story.ended(a_drop("2025-02"), RunState.QUARANTINED, "the file seems to be cut off")
    story.judged(a_drop("2025-03"), "2", log_loss=0.7)
    story.ended(a_drop("2025-04"), RunState.SUPERSEDED, "newer bytes arrived")
    waits = story.waits(a_drop("2025-05"), "3")
    story.ledger.advance(waits, RunState.REJECTED, why="nobody approved it within 14 days", now=story.tick())
    told = [(letter.notice.kind, letter.notice.data["period"], letter.notice.data["state"]) for letter in letters(story.ledger)]
    assert told == [
        ("candidate_promoted", "2025-01", "PROMOTED"),
        ("drop_quarantined", "2025-02", "QUARANTINED"),
        ("candidate_rejected", "2025-03", "REJECTED"),
        ("approval_requested", "2025-05", "AWAITING_APPROVAL"),
        ("approval_expired", "2025-05", "REJECTED"),
    ]
    assert letters(story.ledger) == []


def test_notice_says_what_status_says(story: Storyteller) -> None:
    """Decision, version and link; the reasons are those of the decision."""
    run = story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    data = the_letter(story.ledger.outbox()).notice.data
    assert (data["key"], data["model_version"], data["link"]) == (run.key, "1", f"https://kf/{run.orchestrator_run}")
    assert data["decision"]["verdict"] == "promote"
    assert data["reasons"] == data["decision"]["reasons"]
    assert any("roc_auc" in reason for reason in data["reasons"])


def test_answer_of_a_person_is_the_reason(story: Storyteller) -> None:
    """Said no, so it is a rejection and not an approval that expired."""
    waits = story.waits(a_drop("2025-01"), "1")
    story.ledger.answer(waits, Answer(approved=False, by="ann", reason="holidays", at=story.tick()))
    answered = story.ledger.run(waits.key)
    story.ledger.advance(answered, RunState.REJECTED, why="rejected by ann: holidays", now=story.tick())
    notice = letters(story.ledger)[-1].notice
    assert (notice.kind, notice.data["reasons"]) == ("candidate_rejected", ["rejected by ann: holidays"])


def test_only_the_last_failure_is_told_and_only_to_who_wants_it(story: Storyteller) -> None:
    """An attempt that is made again is no news; every endpoint has a row of its own."""
    run = story.ended(a_drop("2025-01"), RunState.FAILED, "out of memory")
    for _ in range(2):
        assert letters(story.ledger) == []
        again = advanced(story.ledger, run, RunState.QUEUED, why="again", now=story.tick(), change=Change(next_attempt=True))
        running = advanced(story.ledger, again, RunState.RUNNING, why="submitted", now=story.tick())
        run = advanced(story.ledger, running, RunState.FAILED, why="out of memory", now=story.tick())
    (ops,), (chat,) = letters(story.ledger), letters(story.ledger, "chat")
    assert (ops.notice, ops.notice.kind, ops.notice.data["attempt"]) == (chat.notice, "run_failed", 3)
    story.judged(a_drop("2025-02"), "1", log_loss=0.55)
    assert len(letters(story.ledger)) == 1
    assert letters(story.ledger, "chat") == []


def test_drop_that_a_later_month_found_bad_is_told(story: Storyteller) -> None:
    """It has no run of its own."""
    bad = a_drop("2025-01")
    story.arrives(bad)
    for _ in range(2):
        story.ledger.condemn("churn", bad, why="one class only", now=story.tick())
    (letter,) = letters(story.ledger)
    assert (letter.notice.kind, letter.notice.subject, letter.notice.data["reasons"]) == (
        "drop_quarantined",
        bad.ref,
        ["one class only"],
    )


@pytest.mark.parametrize("kind", [NoticeKind.CHAMPION_ROLLED_BACK, NoticeKind.CHAMPION_PROMOTED_BY_OPERATOR])
def test_what_a_person_did_is_told_in_the_transaction_of_the_write_it_tells_of(story: Storyteller, kind: NoticeKind) -> None:
    """Whatever is written with it."""
    notice = about_intervention(kind, "churn", version="1", previous="2", by="ann", reason="complaints", at=story.tick())
    with story.ledger._telling() as connection:
        story.ledger.notices.write(connection, notice)
    (letter,) = letters(story.ledger)
    assert letter.notice == notice


def test_what_an_old_ledger_knew_already_is_no_news(story: Storyteller) -> None:
    """A ledger that was lost is made again from what the registry has; nobody wants a year of it told at once."""
    run = story.running(a_drop("2025-01"))
    run = advanced(story.ledger, run, RunState.TRAINED, why="the pipeline succeeded", now=story.tick())
    change = Change(is_news=False)
    story.ledger.advance(run, RunState.PROMOTED, why="it was decided before", now=story.tick(), change=change)
    assert letters(story.ledger) == []


class Broken(Notices):
    """Fails after it has written."""

    def write(self, connection: Connection, notice: Any) -> None:  # noqa: ANN401 - as the base class
        """Write, and then fail as a full disk would."""
        super().write(connection, notice)
        raise InterruptedError


def test_neither_the_move_nor_the_notice_is_there_without_the_other(story: Storyteller) -> None:
    """One transaction: what fails in the middle has not happened, and a move that is refused is not told."""
    run = story.running(a_drop("2025-01"))
    whole, story.ledger.notices = story.ledger.notices, Broken([OPS])
    with pytest.raises(InterruptedError):
        story.ledger.advance(run, RunState.QUARANTINED, why="bad", now=story.tick())
    assert story.ledger.run(run.key).state is RunState.RUNNING
    assert letters(story.ledger) == []
    story.ledger.notices = whole
    with pytest.raises(StaleStateError):
        story.ledger.advance(replace(run, attempt=2), RunState.QUARANTINED, why="bad", now=story.tick())
    assert letters(story.ledger) == []


def test_without_endpoints_nothing_is_kept(tmp_path: Path) -> None:
    """Also nothing that an endpoint of tomorrow would be told."""
    story = Storyteller(tmp_path / "ledger.db")
    with closing(story.ledger):
        story.judged(a_drop("2025-01"), "1", log_loss=0.55)
        assert letters(story.ledger) == []


def test_who_delivers_is_woken_after_the_commit(story: Storyteller) -> None:
    """What it looks for is there then."""
    seen: list[int] = []
    story.ledger.notices.on_written = lambda: seen.append(story.ledger.outbox().waiting(["ops"])[0].number)
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    assert seen[-1] == 1


def test_letter_that_one_has_taken_nobody_else_takes_until_its_time_is_over(story: Storyteller) -> None:
    """Two replicas: the second one gets it when the first one has not said anything; ids are the same, and one mark counts."""
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    with Ledger(story.url) as other:
        first = the_letter(story.ledger.outbox())
        assert other.outbox().take("ops", now=LATER, until=LATER + HOUR) == LATER + HOUR
        second = the_letter(other.outbox(), now=LATER + HOUR)
        assert (first.notice, first.attempts, second.notice, second.attempts) == (first.notice, 1, first.notice, 2)
        story.ledger.outbox().postponed(first, LATER, "too late to say so")
        assert other.outbox().take("ops", now=LATER + HOUR, until=LATER) == LATER + 2 * HOUR
        story.ledger.outbox().delivered(first, LATER + HOUR)
        assert other.outbox().take("ops", now=LATER + 9 * HOUR, until=LATER) is None


def test_of_two_who_see_the_same_letter_one_takes_it(story: Storyteller) -> None:
    """The second one finds that it is somebody else's, and looks again."""
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)

    class Slow(Outbox):
        def _write(self, statement: Any) -> int:  # noqa: ANN401 - as the base class
            the_letter(story.ledger.outbox())
            return super()._write(statement)

    slow = Slow(story.ledger._engine, story.ledger._reads)
    assert slow.take("ops", now=LATER, until=LATER + HOUR) == LATER
    assert story.ledger.outbox().waiting(["ops"])[0].number == 1


def test_later_letter_waits_for_an_earlier_one_of_its_model_only(tmp_path: Path) -> None:
    """Order is kept per model; another model's news goes on. A refused one makes room."""
    churn, upsell = Storyteller(tmp_path / "ledger.db"), Storyteller(tmp_path / "ledger.db", "upsell")
    with closing(churn.ledger), closing(upsell.ledger):
        churn.ledger.notices = upsell.ledger.notices = Notices([OPS])
        churn.judged(a_drop("2025-01"), "1", log_loss=0.55)
        churn.judged(a_drop("2025-02"), "2", log_loss=0.5)
        upsell.judged(a_drop("2025-01"), "1", log_loss=0.55)
        outbox = churn.ledger.outbox()
        first = the_letter(outbox)
        outbox.postponed(first, LATER + HOUR, "it answered 500")
        assert the_letter(outbox).notice.model == "upsell"
        assert outbox.take("ops", now=LATER, until=LATER) == LATER + HOUR
        outbox.refused(the_letter(outbox, now=LATER + HOUR), LATER + HOUR, "it answered 400")
        assert the_letter(outbox, now=LATER + HOUR).notice.data["period"] == "2025-02"


def test_what_waits_is_shown_without_a_daemon(story: Storyteller) -> None:
    """Since when, and what the last attempt came to; what was refused is not forgotten at once."""
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    story.judged(a_drop("2025-02"), "2", log_loss=0.5)
    outbox = story.ledger.outbox()
    outbox.refused(the_letter(outbox), LATER, "it answered 400")
    outbox.postponed(the_letter(outbox), LATER + HOUR, "it answered 500")
    history = open_history(story.url)
    assert history is not None
    with closing(history):
        ops, nobody = history.waiting(["ops", "nobody"])
    assert (ops.number, ops.error, ops.refused, nobody.number, nobody.since) == (1, "it answered 500", 1, 0, None)
    assert ops.since is not None
    assert NOW < ops.since < LATER


def test_outbox_stays_small(story: Storyteller) -> None:
    """What ended long ago goes, what waits stays, unless it is for somebody who is not there any more."""
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    story.ended(a_drop("2025-02"), RunState.FAILED, "out of memory")
    story.judged(a_drop("2025-03"), "2", log_loss=0.5)
    outbox = story.ledger.outbox()
    outbox.delivered(the_letter(outbox), LATER)
    assert outbox.prune(LATER, ["ops"]) == 0
    assert outbox.prune(LATER + HOUR, ["ops"]) == 1
    assert outbox.waiting(["ops"])[0].number == 1
    assert outbox.prune(LATER + HOUR, ["another"]) == 1
    assert outbox.waiting(["ops"])[0].number == 0
