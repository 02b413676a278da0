"""The drill as a user calls it, on a configuration that names services which do not exist."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """\
ledger = "sqlite:///real/ledger.db"
[mlflow]
tracking_uri = "http://mlflow.invalid"
[orchestrator]
kind = "kubeflow"
host = "http://kubeflow.invalid"
image = "trainer:1"
[[models]]
name = "churn"
bucket = "gs://real/in"
subscription = "projects/my-project/subscriptions/trainer"
[models.training]
pipeline = "hello"
"""
FAULTS = ("kill-daemon", "kill-everything", "same-bytes", "broken-file")


@pytest.mark.timeout(1800)
def test_configuration_is_drilled_without_touching_what_it_names(tmp_path: Path) -> None:
    """Each fault and each promise has its line; nothing is left, neither processes nor files."""
    config = tmp_path / "trainer.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "trainer_daemon", "drill", "-c", str(config), "--json"]
    command += [word for fault in FAULTS for word in ("--fault", fault)]
    # what would lead the drill's daemon to the real ledger has to be ignored
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TRAINER_LEDGER": f"sqlite:///{tmp_path}/real/other.db"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=1790
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [report[key] for key in ("ok", "model", "drops", "workspace")] == [True, "churn", "invented customers", None]
    assert [(fault["name"], fault["verdict"]) for fault in report["faults"]] == [
        ("kill-daemon", "held"),
        ("kill-everything", "held"),
        ("same-bytes", "held"),
        ("broken-file", "skipped"),
    ]
    assert {promise["verdict"] for promise in report["promises"]} == {"held"}
    assert "the daemon is killed" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["trainer.toml"]


def test_unknown_fault_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    """Before anything is started."""
    (tmp_path / "trainer.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "trainer_daemon", "drill", "-c", str(tmp_path / "trainer.toml"), "--fault", "flood"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 2
    assert "there is no fault flood; there are kill-daemon" in done.stderr
