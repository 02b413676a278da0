"""A drop of millions of rows: seconds and peak memory of every step of training and prediction, run as the daemon runs them."""

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.large_drop import write_large_drop
from trainer_daemon.adapters.compiled import compile_pipelines
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.policy.observations import Phase
from trainer_daemon.ports import RunRequest

_ROWS = 5_000_000
_TIMEOUT_S = 7200.0
_TOOK = re.compile(r"^ *(\w+) took ([\d.]+) s and ([\d,]+) MiB$", re.MULTILINE)


def measure_large(root: Path, rows: int = _ROWS) -> dict[str, float]:
    """Seconds and MiB of each step: training with the default estimator, then predicting the same rows."""
    root.mkdir(parents=True)
    drop = root / "churn_data_2025_03.csv"
    write_large_drop(drop, rows)
    compiled = compile_pipelines(root / "pipelines")
    figures = {"drop, MB": drop.stat().st_size / 1e6}
    with closing(LocalOrchestrator(workspace=root, compiled=lambda name: compiled / f"{name}.yaml")) as orchestrator:
        for pipeline, more in (("training", {}), ("inference", {"version": "1", "out": (root / "scores.parquet").as_uri()})):
            figures |= _execute(orchestrator, root, pipeline, {**_parameters(root, drop, pipeline), **more})
    return figures


def _execute(orchestrator: LocalOrchestrator, root: Path, pipeline: str, parameters: Mapping[str, Any]) -> dict[str, float]:
    name = parameters["run_name"]
    orchestrator.submit(RunRequest(name=name, pipeline=pipeline, parameters=parameters, timeout_s=_TIMEOUT_S))
    while (seen := orchestrator.observe([name])[name]).phase is Phase.RUNNING:
        threading.Event().wait(0.5)
    assert seen.phase is Phase.SUCCEEDED, seen.reason  # noqa: S101 - a figure of a failed run is none
    return dict(_figures((root / "runs" / name / "log.txt").read_text()))


def _figures(log: str) -> Iterator[tuple[str, float]]:
    for step, seconds, mib in _TOOK.findall(log):
        yield f"{step}, s", float(seconds)
        yield f"{step}, peak memory, MiB", float(mib.replace(",", ""))


def _parameters(root: Path, drop: Path, pipeline: str) -> dict[str, Any]:
    with drop.open("rb") as stream:
        checksum = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    return {
        "model": "churn",
        "run_key": hashlib.sha256(pipeline.encode()).hexdigest(),
        "run_name": pipeline,
        "attempt": 1,
        "drops": [{"uri": drop.as_uri(), "generation": "1", "checksum": checksum, "period": "2025-03"}],
        "data": {"target": "Churn", "entity_column": "CustomerId"},
        "training": {"estimator": "auto", "hyperparameters": {}, "seed": 0},
        "champion_version": "",
        "champion_schema": {},
        "tracking_uri": f"sqlite:///{root / 'mlflow.db'}",
        "experiment": f"churn-{pipeline}",
        "artifact_location": (root / "mlartifacts").as_uri(),
    }
