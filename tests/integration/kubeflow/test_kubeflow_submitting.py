import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.acceptance.harness import pause
from tests.integration.kubeflow.conftest import EXPERIMENT, Installation
from tests.integration.orchestrator_contract import RUN, Probe, a_request, eventually, outcome
from trainer_daemon.adapters.kubeflow.runs import KfpRun
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Phase
from trainer_daemon.remote.spec import Adjustments


def runs_of(installation: Installation, name: str = RUN) -> list[KfpRun]:
    """Every run of a name that the server has."""
    api = installation.api()
    experiment = api.find_experiment(EXPERIMENT)
    return list(api.runs_named(experiment, name)) if experiment else []


def creates(installation: Installation) -> int:
    """How often the server was asked for a run."""
    return installation.server.request_counts()["POST /runs"]


def test_lost_reply_to_a_create_leaves_one_run(installation: Installation, probe: Probe) -> None:
    """The run is found at once, and not created again."""
    installation.server.lose_replies("POST /runs", times=1)
    submission = installation.connect().submit(a_request(probe))
    (run,) = runs_of(installation)
    assert (submission.run_id, submission.is_adopted) == (run.id, False)


def test_create_that_arrives_after_its_repetition_leaves_one_run(installation: Installation, probe: Probe) -> None:
    """The client gave up, did not find the run, and will create another: the older one is followed, the other ended."""
    installation.server.execute(at_once=0)
    installation.connect().submit(a_request(probe, name="makes-the-experiment"))
    installation.server.delay("POST /runs", 600.0, times=1)
    impatient, before = installation.connect(connection={"timeout_s": 2.0}), creates(installation)
    eventually(lambda: not _submitted(impatient.submit, a_request(probe)) and creates(installation) > before)
    assert runs_of(installation) == []
    eventually(lambda: _submitted(impatient.submit, a_request(probe)))
    (second,) = runs_of(installation)
    pause(1.1)  # the server's times are whole seconds
    installation.server.end_faults()
    eventually(lambda: len(runs_of(installation)) == 2)
    patient = installation.connect()
    eventually(lambda: patient.observe([RUN]) and installation.logged("run_duplicated"))
    assert patient.observe([RUN])[RUN].run_id == second.id
    (line,) = installation.logged("run_duplicated")
    eventually(lambda: {run.id: run.state for run in runs_of(installation)}[line["terminated"][0]] == "CANCELED")


def test_of_duplicates_the_oldest_is_followed(installation: Installation) -> None:
    """Also by a daemon that has just started, and when it is over already."""
    installation.connect().observe(["nothing"])
    experiment = installation.api().create_experiment(EXPERIMENT)
    assert experiment
    older, younger, youngest = installation.server.script(
        [
            {"display_name": RUN, "created_at": f"2026-11-21T09:00:0{second}Z", "state": state}
            for second, state in ((0, "SUCCEEDED"), (1, "RUNNING"), (2, "PENDING"))
        ],
        experiment_id=experiment,
    )
    adapter = installation.connect()
    seen = outcome(adapter, RUN)
    assert (seen.phase, seen.run_id) == (Phase.SUCCEEDED, older)
    eventually(lambda: all(run.is_over for run in runs_of(installation)))
    assert {run.id for run in runs_of(installation) if run.state == "CANCELED"} == {younger, youngest}


def test_run_references_the_version_it_executes(installation: Installation, probe: Probe) -> None:
    """Uploaded once per content, also by the next daemon; another image is another version of the same pipeline."""
    for name in ("first", "second"):
        installation.connect().submit(a_request(probe, name=name))
    assert installation.server.request_counts()["POST /pipelines/upload_version"] == 1
    installation.connect(adjustments=Adjustments(image="registry/trainer:2")).submit(a_request(probe, name="third"))
    counts = installation.server.request_counts()
    assert (counts["POST /pipelines/upload_version"], counts["POST /pipelines"], counts["POST /experiments"]) == (2, 1, 1)
    assert [line["pipeline"] for line in installation.logged("pipeline_uploaded")] == ["trainer-probe"] * 2


def test_racing_daemons_upload_one_version(installation: Installation, probe: Probe) -> None:
    """Whoever is refused because it is there already finds it."""
    installation.server.execute(at_once=0)
    adapters = [installation.connect() for _ in range(4)]
    with ThreadPoolExecutor(len(adapters)) as pool:
        list(pool.map(lambda index: adapters[index].submit(a_request(probe, name=f"run-{index}")), range(len(adapters))))
    assert len(installation.logged("pipeline_uploaded")) == 1


def test_without_caching_a_step_is_executed_each_time(installation: Installation, probe: Probe) -> None:
    """The same step with the same arguments; with caching the second run is answered from the first."""
    for caching, executions in ((False, 2), (True, 3)):
        adapter = installation.connect(adjustments=Adjustments(caching=caching))
        for name in ("first", "second"):
            adapter.submit(a_request(probe, name=f"{name}-{caching}".lower()))
            assert outcome(adapter, f"{name}-{caching}".lower()).phase is Phase.SUCCEEDED
        assert len(probe.seen()) == executions


def test_run_is_put_where_the_configuration_says(
    make_installation: Callable[..., Installation], probe: Probe, tmp_path: Path
) -> None:
    """Namespace, experiment, service account and the place of artifacts."""
    installation = make_installation(is_multi_user=True)
    root = str(tmp_path / "root")
    adapter = installation.connect(
        connection={"user_namespace": "team-a"}, experiment="churn", service_account="steps", pipeline_root=root
    )
    submission = adapter.submit(a_request(probe))
    api = installation.api(user_namespace="team-a")
    run = api._runs.run_service_get_run(submission.run_id)
    assert (run.service_account, run.runtime_config.pipeline_root) == ("steps", root)
    assert run.experiment_id == api.find_experiment("churn")
    assert run.pipeline_version_reference.pipeline_id == api.find_pipeline("trainer-probe")
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED


def test_submission_links_to_the_page_of_the_run(installation: Installation, probe: Probe) -> None:
    """Where a person watches it; a failure names it, too."""
    adapter = installation.connect(link=lambda run_id: f"https://kf.example/pipeline/#/runs/details/{run_id}")
    submission = adapter.submit(a_request(probe, action="fail"))
    assert submission.link == f"https://kf.example/pipeline/#/runs/details/{submission.run_id}"
    assert outcome(adapter, RUN).reason == f"step probe failed: Error (exit code 1); see {submission.link}"


@pytest.mark.parametrize("deleted", ["experiment", "pipeline", "both"])
def test_what_somebody_deleted_is_made_again(installation: Installation, probe: Probe, deleted: str) -> None:
    """By a daemon that still remembers its id."""
    adapter = installation.connect()
    adapter.submit(a_request(probe, name="first"))
    api = installation.api()
    if deleted != "experiment":
        api._pipelines.pipeline_service_delete_pipeline(api.find_pipeline("trainer-probe"), cascade=True)
    if deleted != "pipeline":
        api._experiments.experiment_service_delete_experiment(api.find_experiment(EXPERIMENT))
    eventually(lambda: _submitted(adapter.submit, a_request(probe, name="second")))
    assert outcome(adapter, "second").phase is Phase.SUCCEEDED


def _submitted(submit: Callable[..., object], request: object) -> bool:
    try:
        submit(request)
    except TemporaryError:  # the server calls a deleted version its own mistake
        return False
    return True


def test_limit_of_a_misspelt_step_is_said_once(installation: Installation, probe: Probe) -> None:
    """It would limit nothing, in silence."""
    installation.server.execute(at_once=0)
    adapter = installation.connect(adjustments=Adjustments(memory={"porbe": "1Gi", "probe": "2Gi"}))
    for name in ("first", "second"):
        adapter.submit(a_request(probe, name=name))
    assert installation.logged("step_unknown") == [{"steps": ["porbe"], "known": ["probe", "probe_2"]}]


def test_missing_parameter_is_refused_before_anything_is_created(installation: Installation, probe: Probe) -> None:
    """With a sentence that says what is missing."""
    with pytest.raises(PermanentError, match="requires parameter action, which was not given"):
        installation.connect().submit(a_request(probe, pipeline="two_steps"))
    assert runs_of(installation) == []


def test_unknown_pipeline_is_refused(installation: Installation, probe: Probe) -> None:
    """And one that is no pipeline."""
    with pytest.raises(PermanentError, match="pipeline 'nonsense' is not compiled: there is no file"):
        installation.connect().submit(a_request(probe, pipeline="nonsense"))


@pytest.mark.parametrize("text", ["", "just text", "a: [", "[]"])
def test_file_that_is_no_pipeline_is_refused(installation: Installation, probe: Probe, text: str, tmp_path: Path) -> None:
    """A person may have configured any path."""
    shutil.copytree(installation.compiled, tmp_path / "compiled")
    installation.compiled = tmp_path / "compiled"
    (installation.compiled / "probe.yaml").write_text(text)
    with pytest.raises(PermanentError, match="pipeline 'probe'"):
        installation.connect().submit(a_request(probe))


def test_uploaded_pipeline_is_the_compiled_one_with_the_adjustments(installation: Installation, probe: Probe) -> None:
    """Nothing else is changed."""
    adjustments = Adjustments(image="registry/trainer:1", caching=True, retries={"probe": 2})
    installation.connect(adjustments=adjustments).submit(a_request(probe))
    api = installation.api()
    (version,) = api._pipelines.pipeline_service_list_pipeline_versions(api.find_pipeline("trainer-probe")).pipeline_versions
    compiled = yaml.safe_load((installation.compiled / "probe.yaml").read_text())
    compiled["deploymentSpec"]["executors"]["exec-probe"]["container"]["image"] = "registry/trainer:1"
    policy = {"maxRetryCount": 2, "backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "600s"}
    compiled["root"]["dag"]["tasks"]["probe"]["retryPolicy"] = policy
    assert version.pipeline_spec == compiled
