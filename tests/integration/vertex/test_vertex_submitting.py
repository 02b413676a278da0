from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.emulators.vertex_server import CREATE, GET
from tests.integration.orchestrator_contract import RUN, Probe, a_request, eventually, outcome
from tests.integration.vertex.conftest import ROOT, Site
from trainer_daemon.adapters.vertex import Workload
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Phase
from trainer_daemon.remote.spec import Adjustments

STEPS = "steps@demo-project.iam.gserviceaccount.com"


@pytest.fixture(autouse=True)
def held(site: Site) -> None:
    """Here runs are created and not executed, unless a test says so."""
    site.server.hold_runs()


def resource(site: Site, name: str = RUN) -> Any:  # noqa: ANN401 - the client's untyped resource
    """The job as the service has it."""
    api = site.api()
    return api._client.get_pipeline_job(name=api._name(name))


def test_job_is_what_the_configuration_says(site: Site, probe: Probe) -> None:
    """The run's name is its id; labels, root, account, network, image, limits and caching are as they were configured."""
    workload = Workload(
        pipeline_root=ROOT, service_account=STEPS, network="projects/1/global/networks/ml", labels={"team": "churn"}
    )
    adjustments = Adjustments(image="registry/trainer:2", cpu={"default": "2"}, memory={"probe": "4Gi"}, retries={"probe": 1})
    submission = site.connect(workload=workload, adjustments=adjustments).submit(a_request(probe, items=[1, {"a": 2.5}]))
    job = resource(site)
    assert (submission.run_id, submission.is_adopted, job.display_name) == (RUN, False, RUN)
    assert job.name.endswith(f"/locations/europe-west1/pipelineJobs/{RUN}")
    assert {"trainer_daemon": "run", "team": "churn"}.items() <= dict(job.labels).items()
    assert (job.service_account, job.network) == (STEPS, "projects/1/global/networks/ml")
    assert job.runtime_config.gcs_output_directory == ROOT
    assert dict(job.runtime_config.parameter_values)["items"] == [1, {"a": 2.5}]
    spec = job.pipeline_spec
    container = spec["deploymentSpec"]["executors"]["exec-probe"]["container"]
    assert (container["image"], container["resources"]["resourceCpuLimit"]) == ("registry/trainer:2", "2")
    assert container["resources"]["memoryLimit"] == pytest.approx(4.294967296)
    task = spec["root"]["dag"]["tasks"]["probe"]
    assert (task["retryPolicy"]["maxRetryCount"], dict(task["cachingOptions"])) == (1, {})
    assert spec["schemaVersion"] == "2.1.0"


def test_lost_reply_to_a_create_leaves_one_job(site: Site, probe: Probe) -> None:
    """The job is found at once, and not created again."""
    site.server.lose_replies(CREATE, times=1)
    submission = site.connect().submit(a_request(probe))
    assert (submission.run_id, submission.is_adopted) == (RUN, False)
    assert site.server.request_counts()[CREATE] == 1


def test_create_that_never_arrived_is_sent_again_by_the_next_attempt(site: Site, probe: Probe) -> None:
    """Nothing is there after the connection was cut."""
    adapter = site.connect()
    site.server.cut(CREATE, times=1)
    with pytest.raises(TemporaryError, match=r"cannot reach Vertex AI at http://127.0.0.1:\d+: "):
        adapter.submit(a_request(probe))
    assert not adapter.submit(a_request(probe)).is_adopted


def test_create_that_arrives_after_its_repetition_finds_its_id_taken(site: Site, probe: Probe) -> None:
    """The client gave up; whichever of the two arrives first is the job, and the other one is refused by the service."""
    site.server.delay(CREATE, 600.0, times=1)
    impatient = site.connect(connection={"timeout_s": 1.0})
    with pytest.raises(TemporaryError, match="does not answer within 1 s"):
        impatient.submit(a_request(probe))
    eventually(lambda: site.server.request_counts()[CREATE] == 1)
    assert site.connect().submit(a_request(probe)).run_id == RUN
    site.server.end_faults()
    eventually(lambda: [each.status for each in site.server.requests(CREATE)].count(409) == 1)
    assert len(site.api().open_jobs()) == 1


def test_taken_id_is_an_adoption(site: Site, probe: Probe) -> None:
    """Also when who is champion has changed meanwhile: that is no part of what the run is."""
    first, again = (replace(a_request(probe, word=word), circumstances=frozenset({"word"})) for word in ("1", "2"))
    assert not site.connect().submit(first).is_adopted
    submission = site.connect().submit(again)
    assert (submission.run_id, submission.is_adopted) == (RUN, True)


def test_id_that_is_taken_by_another_job_is_refused(site: Site, probe: Probe) -> None:
    """With what is different, and where to look; the job is left alone."""
    site.connect().submit(a_request(probe))
    for changes, image, told in (
        ({"word": "else"}, "", "has other parameters"),
        ({}, "registry/trainer:2", "has another pipeline"),
        ({"word": "else"}, "registry/trainer:2", "has another pipeline and other parameters"),
    ):
        other = site.connect(adjustments=Adjustments(image=image), link=lambda job: f"https://console.example/{job}")
        with pytest.raises(PermanentError, match=rf"pipeline job {RUN} exists on Vertex AI and {told}; .*console.example/{RUN}"):
            other.submit(a_request(probe, **changes))
    assert site.job(RUN).phase is Phase.PENDING


def test_id_that_is_taken_by_a_strangers_job_is_refused(site: Site, probe: Probe) -> None:
    """It has no label of ours."""
    site.server.script({"id": RUN})
    with pytest.raises(PermanentError, match="was not started by a trainer-daemon"):
        site.connect().submit(a_request(probe))


def test_conflict_of_another_kind_passes(site: Site, probe: Probe) -> None:
    """409 may also mean that two changes met."""
    site.server.refuse(CREATE, 409, times=1, headers={"X-Status": "ABORTED"})
    adapter = site.connect()
    with pytest.raises(TemporaryError, match="cannot create pipeline job"):
        adapter.submit(a_request(probe))
    assert not adapter.submit(a_request(probe)).is_adopted


def test_name_that_begins_with_a_digit_has_an_id_all_the_same(site: Site, probe: Probe) -> None:
    """The run keeps its name; the service wants a letter first."""
    adapter = site.connect()
    assert adapter.submit(a_request(probe, name="2nd-model-2025-03-abc-1")).run_id == "run-2nd-model-2025-03-abc-1"
    seen = adapter.observe(["2nd-model-2025-03-abc-1"])["2nd-model-2025-03-abc-1"]
    assert (seen.phase, seen.run_id) == (Phase.PENDING, "run-2nd-model-2025-03-abc-1")


def test_next_attempt_of_a_failed_run_is_another_job(site: Site, probe: Probe) -> None:
    """The id of the first one is never free again."""
    adapter = site.connect()
    adapter.submit(a_request(probe, name="churn-abc-1"))
    site.server.enter("churn-abc-1", "FAILED")
    assert outcome(adapter, "churn-abc-1").phase is Phase.FAILED
    assert not adapter.submit(a_request(probe, name="churn-abc-2")).is_adopted
    assert adapter.submit(a_request(probe, name="churn-abc-1")).is_adopted


def test_pipeline_that_wants_kubernetes_is_refused(site: Site, probe: Probe) -> None:
    """Nobody would do what its second document asks for."""
    text = (site.compiled / "probe.yaml").read_text() + "---\nplatforms: {kubernetes: {}}\n"
    site.compiled = probe.path.parent
    (site.compiled / "wants_kubernetes.yaml").write_text(text)
    with pytest.raises(PermanentError, match="asks for what only Kubernetes has"):
        site.connect().submit(a_request(probe, pipeline="wants_kubernetes"))


def test_missing_parameter_and_misspelt_step_are_told(site: Site, probe: Probe) -> None:
    """As on Kubeflow Pipelines; nothing is created."""
    adapter = site.connect(adjustments=Adjustments(memory={"porbe": "1Gi"}))
    with pytest.raises(PermanentError, match="requires parameter action, which was not given"):
        adapter.submit(a_request(probe, pipeline="two_steps"))
    assert [line["steps"] for line in site.logged("step_unknown")] == [["porbe"]]
    assert site.server.request_counts()[CREATE] == 0


def test_trouble_of_the_service_passes(site: Site, probe: Probe) -> None:
    """Each call says what failed, and the same submit works when the trouble is over, with one job."""
    site.connect().submit(a_request(probe))
    for route, status in product((CREATE, GET), (429, 500, 503)):
        site.server.refuse(route, status, times=1)
        adapter = site.connect()
        if route == GET:
            with pytest.raises(TemporaryError, match=f"cannot look at pipeline job {RUN}: {status} on request of a test"):
                adapter.submit(a_request(probe))
        else:  # it is looked whether it happened all the same
            adapter.submit(a_request(probe))
        assert adapter.submit(a_request(probe)).is_adopted
    site.server.refuse(CREATE, 503, times=1)
    with pytest.raises(TemporaryError, match="cannot create pipeline job other: 503 on request of a test"):
        site.connect().submit(a_request(probe, name="other"))
    site.server.refuse(CREATE, 429, headers={"X-Retry-Delay": "60s"}, times=1)
    site.server.refuse(GET, 503, times=1)  # the look whether it happened all the same says less than the create
    with pytest.raises(TemporaryError, match="cannot create pipeline job other: 429 on request of a test") as caught:
        site.connect().submit(a_request(probe, name="other"))
    assert caught.value.retry_after_s == 60.0
    assert [job.name for job in site.api().open_jobs()] == [RUN]
