"""What is in a workspace's MLflow, seen through MLflow's own client in a process of its own."""

import atexit
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_ANSWERS = """
import json, sys
from mlflow import MlflowClient

def look(client, model):
    experiment = client.get_experiment_by_name(model)
    runs = client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []
    versions = client.search_model_versions(f"name='{model}'")
    aliases = client.get_registered_model(model).aliases if versions else {}
    return {
        "versions": {str(v.version): dict(v.tags) for v in versions},
        "cards": {str(v.version): v.description or "" for v in versions},
        "aliases": {name: str(version) for name, version in aliases.items()},
        "run_keys": [run.data.tags.get("trainer.run_key") for run in runs],
        "metrics": {run.data.tags.get("trainer.period"): run.data.metrics for run in runs},
    }

def set_alias(client, model, alias, version):
    client.set_registered_model_alias(model, alias, version)

for line in sys.stdin:
    wish, uri, *arguments = json.loads(line)
    print(json.dumps({"look": look, "set_alias": set_alias}[wish](MlflowClient(uri, uri), *arguments)), flush=True)
"""
"""A line is answered by a line, until there is no more; MLflow takes seconds to import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryView:
    """Versions with their tags and descriptions, aliases, and the run keys and metrics of MLflow's runs."""

    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    cards: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    run_keys: list[str] = field(default_factory=list)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)


def look(root: Path, model: str = "churn") -> RegistryView:
    """Read the registry of a workspace."""
    return look_at(_database(root), model)


def look_at(uri: str, model: str = "churn") -> RegistryView:
    """Read any registry."""
    return RegistryView(**_mlflow("look", uri, model))


def set_alias(root: Path, alias: str, version: str, model: str = "churn") -> None:
    """Move an alias by hand, as an operator would."""
    _mlflow("set_alias", _database(root), model, alias, version)


def _database(root: Path) -> str:
    return f"sqlite:///{root / 'var' / 'mlflow.db'}"


def _mlflow(wish: str, uri: str, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
    child = _child()
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps([wish, uri, *arguments]) + "\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    if not answer:
        _child.cache_clear()
        pytest.fail("MLflow's client has failed; standard error says why")
    return json.loads(answer)


@cache
def _child() -> subprocess.Popen[str]:
    """One for all looks of this process; it holds no database open, or it would count as a process of the workspace."""
    environment = {**os.environ, "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool", "MLFLOW_DISABLE_TELEMETRY": "true"}
    child = subprocess.Popen(
        [sys.executable, "-c", _ANSWERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    )
    atexit.register(child.communicate)
    return child
