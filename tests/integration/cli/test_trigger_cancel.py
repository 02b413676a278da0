"""`trigger` and `cancel`: what they write into the ledger, and what they refuse."""

from pathlib import Path

import pytest

from tests.builders import MODEL, a_drop
from tests.integration.cli.conftest import Call
from tests.integration.ledger_story import Storyteller
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.commands.opening import open_session
from trainer_daemon.commands.trigger import Wish, record
from trainer_daemon.policy.events import EventKind, Source


def run_name(state: str) -> str:
    """The name of the one run in a state."""
    history = open_history("sqlite:///ledger.db")
    assert history
    with history:
        return next(run.name for run in history.runs(MODEL) if run.state == state)


@pytest.fixture
def known(folder: Path) -> Storyteller:
    """Two drops that the daemon has seen; the run of the first one was promoted, that of the second one is queued."""
    story = Storyteller(folder / "ledger.db")
    story.judged(a_drop("2025-03"), "1", log_loss=0.5)
    story.queued(a_drop("2025-05"))
    return story


def test_trigger_records_the_event_of_an_operator(call: Call, known: Storyteller) -> None:
    """With who, why and what; the daemon acts on it."""
    answer = call("trigger", "--period", "2025-03", "--force", "--reason", "new seed")
    assert answer.code == 0
    assert "Asked for a run of churn_data_2025_03.csv (2025-03) of model churn." in answer.out
    assert "A new run will be queued" in answer.out
    event = known.ledger.next_pending(MODEL)
    assert event
    assert (event.kind, event.source, event.drop, event.force) == (EventKind.OPERATOR, Source.CLI, a_drop("2025-03"), True)
    assert event.id.startswith("cli:churn:")
    assert event.by.endswith(" (new seed)")


def test_trigger_without_a_name_asks_for_the_newest_drop(call: Call, known: Storyteller) -> None:
    """Twice are two requests."""
    assert call("trigger").code == 0
    assert call("trigger").code == 0
    history = open_history(known.url)
    assert history
    with history:
        asked = [item.event for item in history.happenings(MODEL) if item.event.kind is EventKind.OPERATOR]
    assert [event.drop for event in asked] == [a_drop("2025-05")] * 2
    assert len({event.id for event in asked}) == 2


def test_trigger_never_changes_what_is_current(call: Call, known: Storyteller) -> None:
    """Although it names a drop: the bucket alone says which version is there, and that it was looked at."""
    before = {drop.period: drop for drop in known.ledger.newest_drops(MODEL, 99)}
    assert call("trigger", "--period", "2025-03").code == 0
    newer = a_drop("2025-03", content="b", generation="2")
    known.arrives(newer)
    assert {drop.period: drop for drop in known.ledger.newest_drops(MODEL, 99)} == {**before, "2025-03": newer}
    assert known.ledger.signatures(MODEL, [newer.uri]) == {newer.uri: "s"}


def test_trigger_that_was_overtaken_leaves_the_newer_version_current(known: Storyteller) -> None:
    """The bucket may report newer bytes between the command's look and its write."""
    chosen, newer = a_drop("2025-03"), a_drop("2025-03", content="b", generation="2")
    known.arrives(newer)
    record(Wish(), MODEL, chosen, open_session(Path("trainer.toml")))
    assert known.ledger.current(MODEL, [newer.uri]) == {newer.uri: newer}
    assert known.ledger.signatures(MODEL, [newer.uri]) == {newer.uri: "s"}


def test_trigger_of_the_unknown_lists_what_is_known(call: Call, known: Storyteller) -> None:
    """And records nothing."""
    answer = call("trigger", "--period", "2024-01")
    assert (answer.code, answer.out) == (1, "")
    assert "known are: churn_data_2025_05.csv (2025-05), churn_data_2025_03.csv (2025-03)" in answer.err
    assert known.ledger.next_pending(MODEL) is None


def test_trigger_before_the_daemon_ever_ran_creates_nothing(call: Call, folder: Path) -> None:
    """Nothing is known to ask for."""
    answer = call("trigger")
    assert (answer.code, "no drop is known yet" in answer.err) == (1, True)
    assert [path.name for path in folder.iterdir()] == ["trainer.toml"]


@pytest.mark.usefixtures("past")
def test_cancel_asks_the_daemon(call: Call) -> None:
    """With the reason and who gave it; by the beginning of the key as well."""
    name = run_name("QUEUED")
    answer = call("cancel", name.rsplit("-", 2)[1], "--reason", "wrong file")
    assert answer.code == 0
    assert f"Asked to cancel run {name} (QUEUED). No daemon is running" in answer.out
    with Ledger("sqlite:///ledger.db") as ledger:
        run = next(run for run in ledger.live_runs(MODEL) if run.name == name)
    assert run.ending_reason.endswith(": wrong file")


@pytest.mark.usefixtures("past")
def test_cancel_of_what_has_ended_is_refused_with_its_state(call: Call) -> None:
    """Nothing is left to cancel."""
    answer = call("cancel", run_name("REJECTED"))
    assert (answer.code, answer.out) == (1, "")
    assert "has ended already, it is REJECTED" in answer.err
