import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.emulators.kfp_server import LoggedRequest
from tests.integration.kubeflow.conftest import EXPERIMENT, Installation
from tests.integration.orchestrator_contract import RUN, Probe, a_request, eventually, outcome
from trainer_daemon.adapters.kubeflow import KubeflowOrchestrator
from trainer_daemon.adapters.kubeflow.named import NamedRuns
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.observations import Phase
from trainer_daemon.remote.watch import Watch


def scripted(installation: Installation, *runs: dict[str, Any]) -> list[str]:
    """Runs that a test plays itself, in the experiment of the adapters; their ids."""
    api = installation.api()
    experiment = api.find_experiment(EXPERIMENT) or api.create_experiment(EXPERIMENT)
    assert experiment
    return installation.server.script(runs, experiment_id=experiment)


def lists_of(installation: Installation, after: int = 0) -> list[LoggedRequest]:
    """The list calls that the server got."""
    return installation.server.requests("GET /runs", after=after)


def last_request(installation: Installation) -> int:
    """The number of the newest request."""
    return installation.server.requests()[-1].number


def test_open_runs_are_observed_with_one_call_per_page(installation: Installation) -> None:
    """300 of them, asked for one by one by 300 models, are two calls; the next look is two more."""
    names = [f"model-{index}-2025-03-abc-1" for index in range(300)]
    scripted(installation, *({"display_name": name} for name in names))
    adapter = installation.connect(look_s=(600.0, 600.0))
    seen = [adapter.observe([name])[name] for name in names]
    assert {observation.phase for observation in seen} == {Phase.RUNNING}
    assert len({observation.run_id for observation in seen}) == 300
    assert len(lists_of(installation)) == 2


def test_end_of_a_run_costs_one_call(installation: Installation) -> None:
    """What is not listed among the open runs any more is asked for by its name, once; nobody else is."""
    names = [f"model-{index}" for index in range(20)]
    ids = scripted(installation, *({"display_name": name} for name in names))
    adapter = installation.connect()
    adapter.observe(names)
    installation.server.enter(ids[7], "SUCCEEDED")
    installation.server.enter(ids[8], "FAILED", task_details=[{"task_id": "1", "display_name": "train", "state": "FAILED"}])
    eventually(lambda: adapter.observe(names)["model-8"].phase is Phase.FAILED)
    seen = adapter.observe(names)
    assert (seen["model-7"].phase, seen["model-8"].reason) == (Phase.SUCCEEDED, "step train failed")
    assert {observation.phase for name, observation in seen.items() if name not in {"model-7", "model-8"}} == {Phase.RUNNING}
    looks = len(lists_of(installation))
    eventually(lambda: adapter.observe(names) and len(lists_of(installation)) >= looks + 3)
    by_name = [each for each in lists_of(installation) if "display_name" in each.query]
    assert len(by_name) == 2
    assert sorted(installation.changed) == ["model-7", "model-8"]


def test_looks_become_rare_while_nothing_happens(installation: Installation) -> None:
    """Two seconds after a change, then ever more rarely, at most half a minute; whoever asks in between costs nothing."""
    (run_id,) = scripted(installation, {"display_name": RUN})
    now = [0.0]
    runs = NamedRuns(installation.api(), EXPERIMENT, installation.log)
    watch = Watch(runs, on_change=lambda _: None, clock=lambda: now[0])
    pauses = []
    for _ in range(10):
        watch.see([RUN])
        watch.see([RUN])
        pauses.append(watch.pause_s())
        now[0] += pauses[-1]
    assert pauses[:3] == [2.0, 3.0, 4.5]
    assert pauses[-1] == 30.0
    assert len(lists_of(installation)) == 10
    step = {"task_id": "1", "display_name": "train", "state": "RUNNING"}
    for change in ({"state": "PAUSED"}, {"state": "PAUSED", "task_details": [step]}):
        installation.server.enter(run_id, **change)
        watch.see([RUN])
        assert watch.pause_s() == 2.0
        now[0] += 2.0
        watch.see([RUN])
        assert watch.pause_s() == 3.0
        now[0] += 3.0


def test_unknown_state_is_watched_on(installation: Installation) -> None:
    """A newer server may have more of them; it is named, and the run's end is seen all the same."""
    (run_id,) = scripted(installation, {"display_name": RUN, "state": "FOO"})
    adapter = installation.connect()
    seen = adapter.observe([RUN])[RUN]
    assert (seen.phase, seen.reason) == (Phase.UNKNOWN, "FOO")
    installation.server.enter(run_id, "SUCCEEDED")
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("state", "phase"), [("CANCELED", Phase.CANCELED), ("SKIPPED", Phase.FAILED), ("SUCCEEDED", Phase.SUCCEEDED)]
)
def test_every_end_ends_the_wait(installation: Installation, state: str, phase: Phase) -> None:
    """Also one that somebody else caused, in the user interface."""
    (run_id,) = scripted(installation, {"display_name": RUN})
    adapter = installation.connect()
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    installation.server.enter(run_id, state)
    assert outcome(adapter, RUN).phase is phase


def test_deleted_run_has_vanished(installation: Installation) -> None:
    """And is said to only after the server was asked for it by name."""
    (run_id,) = scripted(installation, {"display_name": RUN})
    adapter = installation.connect()
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    installation.api()._runs.run_service_delete_run(run_id)
    assert outcome(adapter, RUN).phase is Phase.VANISHED
    assert any("display_name" in each.query for each in lists_of(installation))


def test_archived_run_has_not_vanished(installation: Installation) -> None:
    """Somebody tidied up in the user interface."""
    (run_id,) = scripted(installation, {"display_name": RUN, "state": "SUCCEEDED"})
    installation.api().archive(run_id)
    assert installation.connect().observe([RUN])[RUN].phase is Phase.SUCCEEDED


def test_server_may_be_killed_during_a_wait(installation: Installation, probe: Probe) -> None:
    """The wait says that the server is away, and goes on when it is back; the run was never in doubt."""
    adapter = installation.connect()
    submission = adapter.submit(a_request(probe, action="sleep", seconds=1.0))
    probe.started()
    installation.server.kill()
    eventually(lambda: isinstance(_seen(adapter), TemporaryError))
    assert "cannot reach Kubeflow Pipelines at http://127.0.0.1:" in str(_seen(adapter))
    installation.server.start()
    eventually(lambda: not isinstance(_seen(adapter), TemporaryError))
    ended = outcome(adapter, RUN)
    assert (ended.phase, ended.run_id, len(probe.seen())) == (Phase.SUCCEEDED, submission.run_id, 1)


def test_who_waits_for_a_look_that_fails_shares_its_error(installation: Installation) -> None:
    """Otherwise every model would wait for a time-out of its own, one after another."""
    scripted(installation, {"display_name": RUN})
    adapter = installation.connect(connection={"timeout_s": 3.0}, look_s=(0.0, 0.0))
    eventually(lambda: not isinstance(_seen(adapter), TemporaryError))
    before = last_request(installation)
    installation.server.delay("GET /runs", 600.0)
    errors, together = list[object](), threading.Barrier(10)

    def look() -> None:
        together.wait()
        errors.append(_seen(adapter))

    waiting = [threading.Thread(target=look) for _ in range(10)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(240)
    assert [str(error) for error in errors] == [f"{installation.server.host} does not answer within 3 s"] * 10
    assert len(lists_of(installation, before)) < 10


def _seen(adapter: KubeflowOrchestrator) -> object:
    """What a look tells, or how it fails."""
    try:
        return adapter.observe([RUN])[RUN]
    except TemporaryError as exc:
        return exc


def test_run_beyond_its_time_is_ended_and_has_failed(installation: Installation) -> None:
    """The daemon does it, whoever started the run; said once, and remembered by nobody but the run itself."""
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    tasks = [{"task_id": "1", "display_name": "train-model", "state": "RUNNING"}]
    scripted(installation, {"display_name": RUN, "created_at": hour_ago, "run_details": {"task_details": tasks}})
    installation.server.hold_cancellations()
    adapter = installation.connect(run_timeout_s=1800.0)
    eventually(lambda: adapter.observe([RUN]) and installation.logged("run_overdue"))
    for _ in range(3):
        assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING, "it is not over before the server says so"
    installation.server.hold_cancellations(hold=False)
    ended = outcome(adapter, RUN)
    assert (ended.phase, ended.reason) == (Phase.FAILED, "timed out after 1800 s in step train-model")
    assert len(installation.logged("run_overdue")) == 1
    assert installation.connect(run_timeout_s=1800.0).observe([RUN])[RUN] == ended


def test_cancelling_takes_as_long_as_the_end_does(installation: Installation) -> None:
    """It returns when the run is over; if that takes too long somebody hears of it, and may ask again."""
    installation.server.hold_cancellations()
    scripted(installation, {"display_name": RUN})
    adapter = installation.connect(ending_s=0.2)
    with pytest.raises(TemporaryError, match=f"run {RUN} was told to end on Kubeflow Pipelines and is still CANCELING"):
        adapter.cancel(RUN)
    installation.server.hold_cancellations(hold=False)
    eventually(lambda: _cancelled(adapter))
    assert adapter.observe([RUN])[RUN].phase is Phase.CANCELED


def _cancelled(adapter: KubeflowOrchestrator) -> bool:
    try:
        adapter.cancel(RUN)
    except TemporaryError:
        return False
    return True


def test_stop_of_the_daemon_does_not_wait_for_a_cancellation(installation: Installation) -> None:
    """The next daemon goes on with it."""
    installation.server.hold_cancellations()
    scripted(installation, {"display_name": RUN})
    adapter = installation.connect(ending_s=600.0)
    threading.Timer(0.5, adapter.close).start()
    with pytest.raises(TemporaryError, match="was told to end"):
        adapter.cancel(RUN)


def test_superseded_run_is_archived_if_that_is_wanted(installation: Installation) -> None:
    """Archiving what is not there, or is archived already, is no error."""
    for wanted, state in ((False, "AVAILABLE"), (True, "ARCHIVED")):
        name = f"run-{wanted}".lower()
        (run_id,) = scripted(installation, {"display_name": name, "state": "CANCELED"})
        adapter = installation.connect(archive=wanted)
        for each in (name, name, "never-was"):
            adapter.archive(each)
        assert installation.api()._runs.run_service_get_run(run_id).storage_state == state
