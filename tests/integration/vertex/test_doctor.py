"""The doctor's checks of Vertex AI, over a socket."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.vertex_server import CREATE, LIST, LOCATION, PROJECT, VertexServer
from trainer_daemon.commands.opening import now
from trainer_daemon.config import Settings, check_settings
from trainer_daemon.doctor.hello import Hello
from trainer_daemon.doctor.orchestrators import backend_of
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import examine
from trainer_daemon.remote.doctor import judge_reach

Examine = Callable[..., dict[str, Check]]
STEPS = "steps@demo-project.iam.gserviceaccount.com"
WRITE = ["storage.objects.create", "storage.objects.get"]


def settings_of(host: str, folder: Path, **changes: Any) -> Settings:  # noqa: ANN401 - of the section
    """Settings of one model on a server."""
    section = {
        "kind": "vertex",
        "project": PROJECT,
        "location": LOCATION,
        "pipeline_root": "gs://artifacts/runs",
        "image": "registry.example/trainer:1",
        "host": host,
        "service_account": STEPS,
        **changes,
    }
    table = {"orchestrator": section, "models": [{"name": "churn", "bucket": "drops"}]}
    return check_settings(table, {}, folder=folder)


@pytest.fixture
def examined(vertex_server: VertexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Examine the server, with changes of the section."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", vertex_server.host)

    def run(host: str = vertex_server.host, **changes: Any) -> dict[str, Check]:  # noqa: ANN401 - as above
        with ExitStack() as resources:
            probes = backend_of(settings_of(host, tmp_path, **changes), resources, now).probes
            return {check.name: check for check in examine(probes)}

    return run


def test_installation_where_all_is_well(vertex_server: VertexServer, examined: Examine) -> None:
    """Nothing is made; a folder as the bucket and MLflow on a file are what steps elsewhere cannot use."""
    vertex_server.grant(accounts=[STEPS], buckets={"artifacts": WRITE})
    checks = examined()
    assert {name: check.status for name, check in checks.items()} == {
        "orchestrator": Status.OK,
        "service account": Status.OK,
        "pipeline root": Status.OK,
        "image": Status.OK,
        "reach": Status.WARNING,
    }
    assert checks["orchestrator"].found.endswith("takes the credential; runs are in demo-project, europe-west1")
    assert vertex_server.request_counts()[CREATE] == 0


def test_each_trouble_has_its_fix(vertex_server: VertexServer, examined: Examine) -> None:
    """A command that can be copied, wherever there is one."""
    checks = examined()
    account, root = checks["service account"], checks["pipeline root"]
    assert (account.status, root.status) == (Status.FAILED, Status.FAILED)
    assert account.fix.startswith(f"gcloud iam service-accounts add-iam-policy-binding {STEPS} --project=demo-project ")
    assert root.found == "there is no bucket artifacts"
    assert root.fix.startswith("gcloud storage buckets create gs://artifacts --project=demo-project --location=europe-west1 ")
    vertex_server.grant(accounts=[STEPS], buckets={"artifacts": []})
    root = examined()["pipeline root"]
    assert (root.status, f"--member=serviceAccount:{STEPS} --role=roles/storage.objectUser" in root.fix) == (Status.WARNING, True)
    assert examined(service_account="")["service account"].status is Status.WARNING
    for reason, fix in (
        ("SERVICE_DISABLED", "gcloud services enable aiplatform.googleapis.com --project=demo-project"),
        ("IAM_PERMISSION_DENIED", "let the daemon's account create, list, look at and cancel pipeline jobs"),
    ):
        vertex_server.refuse(LIST, 403, headers={"X-Reason": reason}, times=1)
        checks = examined()
        assert (checks["orchestrator"].status, checks["orchestrator"].fix.startswith(fix)) == (Status.FAILED, True)
        assert checks["service account"].status is Status.SKIPPED
    vertex_server.refuse(LIST, 401, times=1)
    assert "gcloud auth application-default login" in examined()["orchestrator"].fix


def test_each_trouble_beside_vertex_ai_has_its_fix(vertex_server: VertexServer, examined: Examine) -> None:
    """The steps' account: there is none, IAM is not enabled, or it may not be looked at. The bucket: as well, or no answer."""
    vertex_server.grant(accounts=[STEPS], buckets={"artifacts": WRITE})
    for status, reason, found, fix in (
        (404, "", f"there is no service account {STEPS}: cannot ask", "make it: trainer-daemon setup-gcp --print"),
        (403, "SERVICE_DISABLED", "does not permit it", "gcloud services enable iam.googleapis.com --project=demo-project"),
        (403, "IAM_PERMISSION_DENIED", "does not permit it", "gcloud iam service-accounts add-iam-policy-binding"),
    ):
        vertex_server.refuse("POST /projects/-/serviceAccounts/*", status, headers={"X-Reason": reason}, times=1)
        checks = examined()
        account = checks["service account"]
        assert (account.status, found in account.found, account.fix.startswith(fix)) == (Status.FAILED, True, True), account
        assert checks["pipeline root"].status is Status.OK
    for status, expected, found in (
        (403, Status.WARNING, "gs://artifacts/runs exists; this account may not write there"),
        (503, Status.FAILED, "cannot ask Cloud Storage about bucket artifacts: 503 "),
    ):
        vertex_server.refuse("GET /storage/v1/b/artifacts/*", status, times=1)
        root = examined()["pipeline root"]
        assert (root.status, root.found.startswith(found)) == (expected, True), root


def test_region_that_does_not_exist_is_told(vertex_server: VertexServer, examined: Examine) -> None:
    """With the one that was meant."""
    route = LIST.replace("europe-west1", "europe-wset1")
    for headers in ({}, {"X-Html": "yes"}):
        vertex_server.refuse(route, 404, headers=headers, times=1)
        check = examined(location="europe-wset1")["orchestrator"]
        assert check.status is Status.FAILED
        assert check.fix == ("correct orchestrator.location: europe-wset1 is no region of Vertex AI; did you mean europe-west1?")


def test_steps_elsewhere_reach_servers_only() -> None:
    """Not this machine's files."""
    assert judge_reach("https://mlflow.example", []).status is Status.OK
    assert judge_reach("sqlite:///var/mlflow.db", ["file:///drops"]).found.startswith(
        "file:///drops and sqlite:///var/mlflow.db are on this machine"
    )


def test_hello_runs_there(vertex_server: VertexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pipeline, submitted through the port, executed and watched."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", vertex_server.host)
    vertex_server.grant(accounts=[STEPS], buckets={"artifacts": WRITE})
    with ExitStack() as resources:
        backend = backend_of(settings_of(vertex_server.host, tmp_path), resources, now)
        run = Hello(backend.connect, name="doctor-hello-1", timeout_s=600.0)
        resources.callback(run.close)
        *_, check = examine([*backend.probes, run.probe(*backend.probes)])
    assert check.status is Status.OK, check.found
    assert check.found.startswith("run doctor-hello-1 succeeded after ")
    assert vertex_server.request_counts()[CREATE] == 1


def test_missing_client_is_one_sentence_with_the_way_to_install_it(tmp_path: Path) -> None:
    """Exit code 2; a start and a doctor say the same."""
    config = tmp_path / "trainer.toml"
    config.write_text(
        '[orchestrator]\nkind = "vertex"\nproject = "demo-project"\nlocation = "europe-west1"\nimage = "i:1"\n'
        'pipeline_root = "gs://artifacts/runs"\n[[models]]\nname = "churn"\nbucket = "drops"\n'
    )
    (tmp_path / "drops").mkdir()
    script = "import sys; sys.modules['google.cloud.aiplatform_v1'] = None; from trainer_daemon.cli import main; main()"
    for command in ("run", "doctor"):
        done = subprocess.run(
            [sys.executable, "-c", script, command, "--config", config], capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.strip().splitlines()
        assert 'orchestrator.kind = "vertex" needs google-cloud-aiplatform, which is not installed: pip install' in line
