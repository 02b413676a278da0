import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.emulators.vertex_server import GET, JOBS, LIST
from tests.integration.orchestrator_contract import RUN, Probe, a_request, eventually, outcome
from tests.integration.vertex.conftest import Site
from trainer_daemon.adapters.vertex import VertexOrchestrator
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.observations import Phase


def gets(site: Site) -> list[str]:
    """The jobs that were looked at one by one."""
    return [
        each.path.rpartition("/")[2]
        for each in site.server.requests()
        if f"{each.method} {JOBS}/" in f"{each.method} {each.path}"
    ]


def test_open_jobs_are_observed_with_one_call_per_page(site: Site) -> None:
    """250 of them, asked for one by one by 250 models, are three calls, filtered by our label; nobody else's are read."""
    names = [f"model-{index}-2025-03-abc-1" for index in range(250)]
    site.script(*({"id": name} for name in names))
    site.server.script({"id": "somebody-elses", "labels": {"trainer_daemon": "other"}}, {"id": "unlabelled"})
    adapter = site.connect(look_s=(600.0, 600.0))
    seen = [adapter.observe([name])[name] for name in names]
    assert {observation.phase for observation in seen} == {Phase.RUNNING}
    assert [observation.run_id for observation in seen] == names
    lists = site.server.requests(LIST)
    assert (len(lists), gets(site)) == (3, [])
    assert all("labels.trainer_daemon" in each.query and "readMask" in each.query for each in lists)
    listed = site.api().open_jobs()
    assert len(listed) == 250
    assert all(job.changed_at for job in listed), "when a job last changed tells how soon to look again"


def test_end_of_a_job_costs_one_call(site: Site) -> None:
    """What is not listed among the open ones any more is looked at, once; nobody else is."""
    names = [f"model-{index}" for index in range(20)]
    site.script(*({"id": name, "tasks": [{"task": "train-model", "state": "FAILED"}]} for name in names))
    adapter = site.connect()
    adapter.observe(names)
    site.server.enter("model-7", "SUCCEEDED")
    site.server.enter("model-8", "FAILED")
    eventually(lambda: adapter.observe(names)["model-8"].phase is Phase.FAILED)
    seen = adapter.observe(names)
    assert seen["model-7"].phase is Phase.SUCCEEDED
    assert seen["model-8"].reason == (
        "step train-model failed: The replica workerpool0-0 exited with a non-zero status of 1. To find out more, "
        "please check the logs."
    )
    looks = len(site.server.requests(LIST))
    eventually(lambda: adapter.observe(names) and len(site.server.requests(LIST)) >= looks + 3)
    assert sorted(gets(site)) == ["model-7", "model-8"]
    assert sorted(site.changed) == ["model-7", "model-8"]


PHASES = {
    "UNSPECIFIED": Phase.PENDING,
    "QUEUED": Phase.PENDING,
    "PENDING": Phase.PENDING,
    "RUNNING": Phase.RUNNING,
    "PAUSED": Phase.RUNNING,
    "CANCELING": Phase.RUNNING,
    "SUCCEEDED": Phase.SUCCEEDED,
    "FAILED": Phase.FAILED,
    "CANCELED": Phase.CANCELED,
    "FOO": Phase.UNKNOWN,
}


def test_every_state_is_known_and_a_new_one_is_named(site: Site) -> None:
    """A paused job is not over, whatever Google's own SDK says; one in a state that nobody knows is watched on."""
    phases = {state.lower(): phase for state, phase in PHASES.items()}
    site.script(*({"id": state.lower(), "state": state} for state in PHASES))
    adapter = site.connect()
    seen = adapter.observe(list(phases))
    assert {name: observation.phase for name, observation in seen.items()} == phases
    assert seen["foo"].reason == "42"
    going_on = [name for name, phase in phases.items() if phase in {Phase.PENDING, Phase.RUNNING, Phase.UNKNOWN}]
    assert {job.name for job in site.api().open_jobs()} == set(going_on), "and only these are listed"
    for name in going_on:
        site.server.enter(name, "SUCCEEDED")
    assert {outcome(adapter, name).phase for name in going_on} == {Phase.SUCCEEDED}


def test_failure_without_a_task_has_the_words_of_the_job(site: Site) -> None:
    """And the link to its page."""
    site.script({"id": RUN, "state": "FAILED"})
    adapter = site.connect(link=lambda job: f"https://console.example/{job}")
    reason = adapter.observe([RUN])[RUN].reason
    assert reason.startswith("the run failed: The DAG failed because some tasks failed.")
    assert reason.endswith(f"; see https://console.example/{RUN}")


def test_deleted_job_has_vanished(site: Site) -> None:
    """And is said to only after the service was asked for it by its id."""
    site.script({"id": RUN})
    adapter = site.connect()
    assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING
    site.server.delete(RUN)
    assert outcome(adapter, RUN).phase is Phase.VANISHED
    assert RUN in gets(site)


def test_job_that_a_list_leaves_out_has_not_vanished(site: Site) -> None:
    """Somebody may have started it with other labels, and lists may be late."""
    site.server.script({"id": RUN})
    assert site.connect().observe([RUN])[RUN].phase is Phase.RUNNING


def test_server_may_be_killed_during_a_wait(site: Site, probe: Probe) -> None:
    """The wait says that the service is away, and goes on when it is back; the run was never in doubt."""
    adapter = site.connect()
    adapter.submit(a_request(probe, action="sleep", seconds=1.0))
    probe.started()
    site.server.kill()
    eventually(lambda: isinstance(seen(adapter), TemporaryError))
    assert "cannot reach Vertex AI at http://127.0.0.1:" in str(seen(adapter))
    site.server.start()
    eventually(lambda: not isinstance(seen(adapter), TemporaryError))
    assert (outcome(adapter, RUN).phase, len(probe.seen())) == (Phase.SUCCEEDED, 1)


def seen(adapter: VertexOrchestrator) -> object:
    """What a look tells, or how it fails."""
    try:
        return adapter.observe([RUN])[RUN]
    except TemporaryError as exc:
        return exc


def test_run_beyond_its_time_is_ended_and_has_failed(site: Site) -> None:
    """The daemon does it, whoever started the run; said once, and remembered by nobody but the job itself."""
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    site.script({"id": RUN, "created_at": hour_ago, "tasks": [{"task": "train-model"}]})
    site.server.hold_cancellations()
    adapter = site.connect(run_timeout_s=1800.0)
    eventually(lambda: adapter.observe([RUN]) and site.logged("run_overdue"))
    for _ in range(3):
        assert adapter.observe([RUN])[RUN].phase is Phase.RUNNING, "it is not over before the service says so"
    site.server.hold_cancellations(hold=False)
    ended = outcome(adapter, RUN)
    assert (ended.phase, ended.reason) == (Phase.FAILED, "timed out after 1800 s in step train-model")
    assert len(site.logged("run_overdue")) == 1
    assert site.connect(run_timeout_s=1800.0).observe([RUN])[RUN] == ended


def test_cancelling_takes_as_long_as_the_end_does(site: Site) -> None:
    """It returns when the job is over; if that takes too long somebody hears of it; a stop does not wait for it."""
    site.server.hold_cancellations()
    site.script({"id": RUN})
    with pytest.raises(TemporaryError, match=f"run {RUN} was told to end on Vertex AI and is still CANCELLING"):
        site.connect(ending_s=0.2).cancel(RUN)
    patient = site.connect(ending_s=600.0)
    threading.Timer(0.5, patient.close).start()
    with pytest.raises(TemporaryError, match="was told to end"):
        patient.cancel(RUN)
    site.server.hold_cancellations(hold=False)
    adapter = site.connect()
    adapter.cancel(RUN)
    assert adapter.observe([RUN])[RUN].phase is Phase.CANCELED


def test_job_that_ends_while_it_is_cancelled_is_no_error(site: Site) -> None:
    """The service refuses to cancel what is over, as something that cannot be done."""
    site.script({"id": RUN, "state": "SUCCEEDED"})
    site.api().cancel(RUN)
    site.api().cancel("never-was")
    assert site.job(RUN).phase is Phase.SUCCEEDED


def test_superseded_job_is_not_deleted(site: Site) -> None:
    """There is nowhere to put it out of sight."""
    site.script({"id": RUN, "state": "CANCELED"})
    site.connect().archive(RUN)
    assert site.job(RUN).phase is Phase.CANCELED
    assert site.server.request_counts()[GET] == 0
