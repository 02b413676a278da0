"""`trainer-daemon doctor` as it is called: exit code, table, JSON, and the fix for what people get wrong."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.digest import pipeline_digest
from tests.emulators.notification_configs import NotificationConfigs
from tests.integration.cli.conftest import Call
from tests.integration.doctor.conftest import PROJECT, Subscribe
from tests.integration.doctor.servers import server

FOLDER_MODEL = '[[models]]\nname = "churn"\nbucket = "drops"\n'
HEAVY = {"pandas", "numpy", "sklearn", "mlflow", "kfp", "alembic", "pyarrow", "google", "grpc"}
NAMESPACES = {"google", "google.cloud"}
"""They are empty, and there from the start of the interpreter: the package for Vertex AI has them in a .pth file."""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration and a drop."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRAINER_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "drops").mkdir()
    (tmp_path / "drops" / "churn_data_2025_03.csv").write_text("a\n1\n")
    (tmp_path / "trainer.toml").write_text(FOLDER_MODEL)
    return tmp_path


@pytest.fixture
def folder(fresh: Path, compiled_pipelines: Path) -> Path:
    """The same, where a daemon has been: it has compiled the pipelines."""
    shutil.copytree(compiled_pipelines, fresh / "var" / "pipelines" / pipeline_digest())
    return fresh


@pytest.fixture
def on_google(folder: Path, configs: NotificationConfigs, bucket: str, topic: str, subscribe: Subscribe) -> dict[str, str]:
    """The same on Google Cloud, where all is well; the keys of the model."""
    configs.add(bucket, topic)
    keys = {"name": "churn", "bucket": f"gs://{bucket}/in", "subscription": subscribe()}
    write(folder, keys)
    return keys


def write(folder: Path, keys: dict[str, str], top: str = "") -> None:
    """The configuration of one model."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    (folder / "trainer.toml").write_text("\n".join([top, "[[models]]", *lines, ""]))


def failures(report: dict[str, Any]) -> dict[str, str]:
    """Name and fix of what failed."""
    return {check["name"]: check["fix"] for check in report["checks"] if check["status"] == "failed"}


@pytest.mark.usefixtures("fresh")
def test_laptop_where_all_is_well(call: Call) -> None:
    """A table, a summary and exit code 0; nothing is made."""
    answer = call("doctor")
    assert (answer.code, answer.err) == (0, "")
    rows = [line.split("  ")[0].strip() for line in answer.out.splitlines()]
    for title in (
        "config",
        "ledger",
        "workspace",
        "churn: bucket",
        "churn: drops",
        "mlflow",
        "pipelines",
        "orchestrator",
        "clock",
    ):
        assert title in rows
    assert "What to do" not in answer.out
    assert re.search(r"9 checks: .* 1 skipped\n$", answer.out)
    assert sorted(path.name for path in Path().iterdir()) == ["drops", "trainer.toml"]


def test_json_is_all_there_is_on_standard_output(call: Call, folder: Path) -> None:
    """Every check has every key."""
    (folder / "drops").rename(folder / "elsewhere")
    answer = call("doctor", "--json")
    assert answer.code == 1
    report = json.loads(answer.out)
    assert (set(report), report["ok"]) == ({"ok", "checks"}, False)
    assert all(set(check) == {"name", "model", "status", "found", "fix", "seconds"} for check in report["checks"])
    assert {check["status"] for check in report["checks"]} == {"ok", "failed", "skipped"}
    assert failures(report) == {"bucket": "create the folder or correct `bucket`"}
    assert [check["model"] for check in report["checks"] if check["name"] == "drops"] == ["churn"]


@pytest.mark.usefixtures("folder")
def test_narrow_terminal_gets_lines(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is longer than the terminal is wide, except for what is to be copied."""
    monkeypatch.setenv("COLUMNS", "60")
    answer = call("doctor")
    assert answer.code == 0
    assert "ok  config\n" in answer.out
    assert max(len(line) for line in answer.out.splitlines() if "/" not in line) <= 60


def test_every_model_has_its_own_checks(call: Call, folder: Path) -> None:
    """`--model` leaves out those of the others."""
    (folder / "trainer.toml").write_text(FOLDER_MODEL + '[[models]]\nname = "other"\nbucket = "nowhere"\n')
    both, one = call("doctor", "--json"), call("doctor", "--json", "-m", "churn")
    assert (both.code, one.code) == (1, 0)
    models = [check["model"] for check in json.loads(both.out)["checks"] if check["name"] == "drops"]
    assert models == ["churn", "other"]
    assert {check["model"] for check in json.loads(one.out)["checks"]} == {None, "churn"}


def test_wrong_configuration_is_told_as_by_every_command(call: Call, folder: Path) -> None:
    """Nothing is checked."""
    (folder / "trainer.toml").write_text(FOLDER_MODEL + "window = 3\n")
    answer = call("doctor")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: models[churn].window is not a known key")


@pytest.mark.usefixtures("folder")
def test_hello_is_run_when_it_is_asked_for(call: Call) -> None:
    """On the configured orchestrator, to its end."""
    answer = call("doctor", "--run-hello", "--timeout", "600", "--json")
    (hello,) = [check for check in json.loads(answer.out)["checks"] if check["name"] == "hello"]
    assert (answer.code, hello["status"]) == (0, "ok")
    assert re.match(r"run doctor-hello-[0-9-]+ succeeded after ", hello["found"])


@pytest.mark.usefixtures("on_google")
def test_google_cloud_where_all_is_well(call: Call) -> None:
    """The emulators alone are worth a warning."""
    answer = call("doctor", "--json")
    assert answer.code == 0
    checks = json.loads(answer.out)["checks"]
    assert [check["name"] for check in checks if check["status"] == "warning"] == ["emulators"]
    names = [check["name"] for check in checks if check["model"] == "churn"]
    assert names[:5] == ["bucket", "drops", "subscription", "subscription settings", "notification"]


def test_typo_in_the_bucket(call: Call, folder: Path, on_google: dict[str, str]) -> None:
    """The fix is a line of its own, so that it can be copied."""
    write(folder, {**on_google, "bucket": "gs://chrun-drops/in"})
    answer = call("doctor")
    assert answer.code == 1
    assert (
        "churn: bucket (failed)\n  create it: gcloud storage buckets create gs://chrun-drops --location=LOCATION\n" in answer.out
    )
    assert "not possible: churn: bucket failed" in answer.out


def test_missing_subscription(call: Call, folder: Path, on_google: dict[str, str]) -> None:
    """With the command that makes it."""
    write(folder, {**on_google, "subscription": f"{PROJECT}/subscriptions/nowhere"})
    answer = call("doctor", "--json")
    assert answer.code == 1
    assert "gcloud pubsub subscriptions create nowhere" in failures(json.loads(answer.out))["subscription"]


def test_bucket_that_notifies_the_wrong_topic(
    call: Call, configs: NotificationConfigs, bucket: str, topic: str, on_google: dict[str, str]
) -> None:
    """With the command that makes it notify the right one."""
    configs.configs[bucket] = []
    configs.add(bucket, f"{PROJECT}/topics/other")
    answer = call("doctor", "--json")
    assert (answer.code, bool(on_google)) == (1, True)
    fix = failures(json.loads(answer.out))["notification"]
    assert fix.startswith(f"gcloud storage buckets notifications create gs://{bucket} --project=demo-project --topic={topic} ")


def test_unreachable_mlflow(call: Call, folder: Path) -> None:
    """Its password is nobody's business."""
    with server(200, {}) as url:
        pass
    address = url.removeprefix("http://")
    (folder / "trainer.toml").write_text(f'[mlflow]\ntracking_uri = "http://ann:secret@{address}"\n{FOLDER_MODEL}')
    answer = call("doctor", "--json")
    assert answer.code == 1
    assert f"{address}/health" in failures(json.loads(answer.out))["mlflow"]
    assert "secret" not in answer.out


@pytest.mark.usefixtures("folder")
def test_doctor_imports_nothing_heavy() -> None:
    """What is heavy is tried in child processes, as the daemon uses it."""
    code = "import sys, atexit\natexit.register(lambda: print(sorted(sys.modules), file=sys.stderr))\n"
    code += "from trainer_daemon.cli import main\nmain(['doctor'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    imported = set(re.findall(r"'([\w.]+)'", done.stderr)) - NAMESPACES
    assert {name.partition(".")[0] for name in imported}.isdisjoint(HEAVY)
