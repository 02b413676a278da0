"""Windows of several months while months are corrected, turn out bad, or go: what counts on a run is never forgotten."""

from pathlib import Path
from typing import Any

import pytest

from tests.builders import MODEL, a_drop, a_policy, an_operator_event
from tests.integration.test_reconciler import Countdown, Crash, World
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.observations import Failure, Phase
from trainer_daemon.policy.runs import Run


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty world."""
    return World(f"sqlite:///{tmp_path / 'ledger.db'}")


def bad(world: World, content: str) -> None:
    """Drops of this content can only be quarantined."""
    original = world.finish

    def finish(request: Any) -> None:  # noqa: ANN401 - the world's call
        if request.parameters["drops"][-1]["checksum"] != f"sha256:{content}":
            original(request)
            return
        key, attempt = request.parameters["run_key"], request.parameters["attempt"]
        world.registry.failures[key] = Failure(attempt=attempt, step="load", kind="bad_drop", reason="no column Churn")
        world.orchestrator.phases[request.name] = Phase.FAILED

    world.finish = finish  # type: ignore[method-assign]


def bad_window(world: World, bad: DatasetVersion) -> None:
    """Runs that have this drop in their window fail and name it; the others succeed."""
    original = world.finish

    def finish(request: Any) -> None:  # noqa: ANN401 - the world's call
        key, attempt = request.parameters["run_key"], request.parameters["attempt"]
        if bad.checksum not in [drop["checksum"] for drop in request.parameters["drops"]]:
            original(request)
            return
        failure = Failure(attempt=attempt, step="load", kind="bad_drop", reason="no column Churn", drop=bad.ref)
        world.registry.failures[key] = failure
        world.orchestrator.phases[request.name] = Phase.FAILED

    world.finish = finish  # type: ignore[method-assign]


def trained(world: World) -> set[str]:
    """The windows of all runs that were submitted, as month and content."""
    return {
        " ".join(drop["period"] + drop["checksum"].removeprefix("sha256:") for drop in request.parameters["drops"])
        for request in world.orchestrator.requests.values()
    }


def waiting(world: World, *contents: str) -> None:
    """Reconcile until these runs wait, each as its months and contents, and nothing is left to be planned."""
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while ledger.next_pending(MODEL) or [windowed(run) for run in ledger.live_runs(MODEL)] != [*contents]:
            reconciler.step()


def windowed(run: Run) -> str:
    """What a run trains on."""
    return " ".join(drop.period + drop.checksum.removeprefix("sha256:") for drop in run.drops)


def test_month_whose_window_was_begun_by_a_correction_that_turned_out_bad_is_trained_without_it(world: World) -> None:
    """The correction had begun the run for the newest month, so it is the newest month that needs another one."""
    world.policy = a_policy(window_months=2)
    bad(world, "x")
    world.arrive(
        a_drop("2025-03"), a_drop("2025-03", content="x", generation="2"), a_drop("2025-03", content="x", generation="3")
    )
    world.arrive(a_drop("2025-04"))
    world.live()
    assert "2025-04a" in trained(world)


def test_correction_is_trained_when_the_newer_month_that_was_to_hold_it_is_bad(world: World) -> None:
    """The run for both is quarantined with the newest month; the correction must not go with it."""
    world.policy = a_policy(window_months=2)
    bad(world, "x")
    world.arrive(a_drop("2025-02"), a_drop("2025-03"))
    world.live()
    world.arrive(a_drop("2025-03", content="b", generation="2"), a_drop("2025-04", content="x"))
    world.live()
    assert {"2025-03b 2025-04x", "2025-02a 2025-03b"} <= trained(world)


def test_month_that_gets_its_first_bytes_back_is_trained_when_the_newer_month_that_was_to_hold_it_is_bad(world: World) -> None:
    """The older run had ended with the first bytes, and the run of the newer month began before they came back."""
    world.policy = a_policy(window_months=2)
    bad(world, "x")
    world.arrive(a_drop("2025-02"), a_drop("2025-03", content="x"))
    waiting(world, "2025-02a", "2025-02a 2025-03x")
    world.arrive(a_drop("2025-02", content="b", generation="2"))
    with Ledger(world.url) as ledger:
        world.reconciler(ledger, Countdown()).step()  # ends the older run; the newer one is still to be ended
    world.arrive(a_drop("2025-02", generation="3"))
    world.live()
    assert trained(world) == {"2025-02a 2025-03x", "2025-02a"}


def test_correction_is_trained_by_itself_when_the_month_that_was_to_hold_it_is_corrected_after_a_newer_one_came(
    world: World,
) -> None:
    """It had left the newest window by then, so no other run would have had it."""
    world.policy = a_policy(window_months=2)
    world.arrive(a_drop("2025-02"), a_drop("2025-03"))
    waiting(world, "2025-02a", "2025-02a 2025-03a")
    world.arrive(a_drop("2025-02", content="b", generation="2"))
    waiting(world, "2025-02b 2025-03a")
    world.arrive(a_drop("2025-04"), a_drop("2025-03", content="c", generation="2"))
    world.live()
    assert trained(world) == {"2025-02b", "2025-03c 2025-04a"}


def test_forced_request_whose_window_is_corrected_while_it_waits_is_carried_out_with_the_correction(world: World) -> None:
    """Beside the run that the correction began itself: who insists gets a run of their own."""
    world.policy = a_policy(window_months=2)
    world.arrive(a_drop("2025-02"), a_drop("2025-03"))
    world.live()
    with Ledger(world.url) as ledger:
        ledger.record([an_operator_event(a_drop("2025-03"), force=True)], world.now)
    waiting(world, "2025-02a 2025-03a")
    world.arrive(a_drop("2025-02", content="b", generation="2"))
    world.live()
    with Ledger(world.url) as ledger:
        runs = ledger.runs_for_content(MODEL, a_drop("2025-02", content="b"))
    windows = [request.parameters["drops"] for request in world.orchestrator.requests.values()]
    assert [windowed(run) for run in runs] == ["2025-02b 2025-03a"]
    assert [drops[0]["checksum"] for drops in windows].count("sha256:b") == 2


def test_run_that_another_month_began_and_the_backlog_passes_over_stays_passed_over(world: World) -> None:
    """Were the event of the other month decided anew, it would begin the same run, for ever."""
    bad(world, "x")
    world.policy = a_policy(window_months=2, backlog="newest")
    for month, content in (("2025-02", "a"), ("2025-03", "a"), ("2025-04", "x")):
        world.arrive(a_drop(month, content=content))
        world.live()
    with Ledger(world.url) as ledger:
        ledger.record([an_operator_event(a_drop("2025-04", content="x"), force=True)], world.now)
    world.arrive(a_drop("2025-02", content="b", generation="2"))
    world.live()
    assert [call.kwargs["event"] for call in world.log.calls].count("run_superseded") == 1


@pytest.mark.parametrize("crash", [None, *[(number, after) for number in range(5, 14) for after in (False, True)]])
def test_good_month_is_trained_without_the_bad_one_of_its_window_that_nobody_had_tried(
    world: World, crash: tuple[int, bool] | None
) -> None:
    """The backlog had passed it over, so the run of the good one is the first to find out, wherever it is interrupted."""
    world.policy = a_policy(window_months=2, backlog="newest")
    passed_over = a_drop("2025-03", content="x")
    bad_window(world, passed_over)
    world.arrive(passed_over, a_drop("2025-04"))
    try:
        world.live(Countdown(*crash) if crash else None)
    except Crash:
        world.live()
    assert trained(world) == {"2025-03x 2025-04a", "2025-04a"}
    assert world.registry.moves == [("", "1")]
    told = [call.kwargs for call in world.log.calls if call.kwargs["event"] == "drop_quarantined"]
    assert [(line["drop"], line["reason"]) for line in told] == [(passed_over.ref, "no column Churn")] or crash
    with Ledger(world.url) as ledger:
        assert ledger.bad_drops(MODEL, [passed_over.uri]) == {(passed_over.uri, passed_over.checksum)}
