from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import wait_until
from tests.emulators.kfp_server import KfpServer
from tests.integration.emulators.kfp_lab import ANSWER_S, Lab

SLEEP_S = 600.0


@pytest.fixture
def hello(compiled_pipelines: Path) -> Path:
    """The compiled pipeline `hello` of the daemon."""
    return compiled_pipelines / "hello.yaml"


def log_of(server: KfpServer, run_id: str) -> str:
    """What a run's steps printed."""
    (path,) = server.state.glob(f"runs/{run_id}-*/log.txt")
    return path.read_text()


def test_hello_is_executed(lab: Lab, hello: Path) -> None:
    """From the client's upload to what the step prints; defaults are filled in."""
    pipeline = lab.client.upload_pipeline(str(hello), "hello")
    (version,) = lab.client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    run = lab.client.run_pipeline(
        lab.experiment(), "hello-1", pipeline_id=pipeline.pipeline_id, version_id=version.pipeline_version_id
    )

    assert lab.wait(run.run_id) == "SUCCEEDED"
    assert "hello, trainer" in log_of(lab.server, run.run_id)
    history = [status.state for status in lab.client.get_run(run.run_id).state_history]
    assert history == ["PENDING", "RUNNING", "SUCCEEDED"]


def test_steps_get_the_parameters_of_the_run(lab: Lab) -> None:
    """Whatever their type; what is not given has the pipeline's default."""
    run_id = lab.run(word="it's 1 §", items=[1, "two"])

    assert lab.wait(run_id) == "SUCCEEDED"
    (seen,) = lab.probe.seen()
    assert (seen["word"], seen["items"], seen["table"]) == ("it's 1 §", [1, "two"], {})


def test_each_task_is_told_with_its_parent(lab: Lab) -> None:
    """Under a root, each with its driver, as the workflows of a cluster have them."""
    run_id = lab.run(pipeline="two_steps", action="end")
    lab.wait(run_id)

    tasks = lab.tasks(run_id)
    root = tasks.pop("root")
    assert set(tasks) == {"root-driver", "probe-driver", "probe", "probe-2-driver", "probe-2"}
    assert {task.parent_task_id for task in tasks.values()} == {root.task_id}
    assert {child.task_id for child in root.child_tasks} == {task.task_id for task in tasks.values()}
    assert {task.state for task in tasks.values()} == {"SUCCEEDED"}


@pytest.mark.parametrize(("action", "message"), [("fail", "Error (exit code 1)"), ("vanish", "OOMKilled (exit code 137)")])
def test_a_failing_task_is_told_with_its_exit_code(lab: Lab, action: str, message: str) -> None:
    """Not with what the step said: a cluster does not know that."""
    run_id = lab.run(pipeline="two_steps", action=action, word="no such month")

    assert lab.wait(run_id) == "FAILED"
    tasks = lab.tasks(run_id)
    assert (tasks["probe"].state, tasks["root"].state) == ("SUCCEEDED", "FAILED")
    assert (tasks["probe-2"].state, tasks["probe-2"].error.message) == ("FAILED", message)


def test_a_terminated_run_ends_its_steps(lab: Lab) -> None:
    """They are asked first; a step that does not listen is killed."""
    run_id = lab.run(action="sleep stubbornly", seconds=SLEEP_S)
    pid = lab.probe.started()

    lab.client.terminate_run(run_id)

    assert lab.wait(run_id) == "CANCELED"
    assert lab.probe.ended(pid)
    assert lab.tasks(run_id)["probe"].state == "CANCELED"
    assert "ended by SIGTERM" in log_of(lab.server, run_id)


def test_runs_without_room_are_pending(lab: Lab) -> None:
    """One at a time: the second starts when the first has ended."""
    lab.server.execute(at_once=1)
    first = lab.run("first", action="sleep", seconds=SLEEP_S)
    lab.wait(first, "RUNNING")
    lab.probe.started()
    second, third = lab.run("second", word="second"), lab.run("third")
    lab.client.terminate_run(third)
    lab.wait(third, "CANCELED")  # now the second has been passed over

    assert lab.state(second) == "PENDING"
    lab.client.terminate_run(first)
    assert lab.wait(second) == "SUCCEEDED"
    assert [seen["word"] for seen in lab.probe.seen()] == ["", "second"]


def test_a_pending_run_can_be_terminated(lab: Lab) -> None:
    """It never starts."""
    lab.server.execute(at_once=0)
    first, second = lab.run(), lab.run()
    for run_id in (second, first):
        lab.client.terminate_run(run_id)
        assert lab.wait(run_id) == "CANCELED"

    assert lab.probe.seen() == []


def test_a_run_outlives_the_server(lab: Lab) -> None:
    """The one process goes on while no server is there, and the next server tells how it ended."""
    run_id = lab.run(action="sleep", seconds=1.0)
    pid = lab.probe.started()
    lab.server.kill()
    wait_until(lambda: lab.probe.ended(pid), "the step ends without a server", ANSWER_S)
    lab.server.start()

    assert lab.wait(run_id) == "SUCCEEDED"
    assert len(lab.probe.seen()) == 1


def test_a_restarted_server_can_terminate_what_the_last_one_started(lab: Lab) -> None:
    """It finds the process by the run's folder."""
    run_id = lab.run(action="sleep", seconds=SLEEP_S)
    pid = lab.probe.started()
    lab.server.restart()
    assert lab.state(run_id) == "RUNNING"

    lab.client.terminate_run(run_id)

    assert lab.wait(run_id) == "CANCELED"
    assert lab.probe.ended(pid)


def test_a_run_that_waits_when_the_server_is_killed_starts_with_the_next(lab: Lab) -> None:
    """What was accepted is done."""
    lab.server.execute(at_once=0)
    run_id = lab.run()
    lab.server.restart()
    lab.server.execute(at_once=1)

    assert lab.wait(run_id) == "SUCCEEDED"


def test_a_failed_run_is_retried_under_its_id(lab: Lab) -> None:
    """Its steps are executed again."""
    run_id = lab.run(action="fail")
    lab.wait(run_id)
    lab.client._run_api.run_service_retry_run(run_id)

    wait_until(lambda: len(lab.probe.seen()) == 2, "the step is executed again", ANSWER_S)
    assert lab.wait(run_id) == "FAILED"
    history = [status.state for status in lab.client.get_run(run_id).state_history]
    assert history == ["PENDING", "RUNNING", "FAILED"] * 2


def test_a_deleted_run_is_ended(lab: Lab) -> None:
    """With its steps and files."""
    run_id = lab.run(action="sleep", seconds=SLEEP_S)
    pid = lab.probe.started()
    lab.client.delete_run(run_id)

    wait_until(lambda: lab.probe.ended(pid), "the step is ended", ANSWER_S)
    assert not list(lab.server.state.glob(f"runs/{run_id}-*"))


def executions(lab: Lab, *, enable_caching: bool | None) -> tuple[int, str]:
    """How often the step of two equal runs is executed, and the task's state in the second."""
    lab.wait(lab.run("first", enable_caching=enable_caching))
    second = lab.run("second", enable_caching=enable_caching)
    assert lab.wait(second) == "SUCCEEDED"
    return len(lab.probe.seen()), lab.tasks(second)["probe"].state


def test_a_task_with_the_same_arguments_is_taken_from_the_cache(lab: Lab) -> None:
    """It is called skipped; other arguments execute it."""
    assert executions(lab, enable_caching=None) == (1, "SKIPPED")

    lab.wait(lab.run("third", word="other"))
    assert len(lab.probe.seen()) == 2


def test_caching_can_be_switched_off_for_an_inline_spec(lab: Lab) -> None:
    """The client rewrites the spec that it sends."""
    assert executions(lab, enable_caching=False) == (2, "SUCCEEDED")


def test_switching_caching_off_is_ignored_for_an_uploaded_version(lab: Lab) -> None:
    """What was uploaded is executed as it is, whatever the client is told."""
    pipeline_id, version_id = lab.upload()
    options: dict[str, Any] = {"pipeline_id": pipeline_id, "version_id": version_id, "params": {"out": str(lab.probe.path)}}
    for name in ("first", "second"):
        run = lab.client.run_pipeline(lab.experiment(), name, enable_caching=False, **options)
        lab.wait(run.run_id)

    assert len(lab.probe.seen()) == 1
    assert lab.tasks(run.run_id)["probe"].state == "SKIPPED"


def test_a_stopped_server_leaves_no_process(lab: Lab) -> None:
    """The end of a test is the end of its runs."""
    lab.run(action="sleep", seconds=SLEEP_S)
    pid = lab.probe.started()
    lab.server.stop()

    wait_until(lambda: lab.probe.ended(pid), "the step is ended", ANSWER_S)
