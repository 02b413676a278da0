"""What is in a workspace's MLflow, seen through MLflow's own client in a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

_LOOK = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1], sys.argv[1])
model = sys.argv[2]
experiment = client.get_experiment_by_name(model)
runs = client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []
versions = client.search_model_versions(f"name='{model}'")
aliases = client.get_registered_model(model).aliases if versions else {}
print(json.dumps({
    "versions": {str(v.version): dict(v.tags) for v in versions},
    "cards": {str(v.version): v.description or "" for v in versions},
    "aliases": {name: str(version) for name, version in aliases.items()},
    "run_keys": [run.data.tags.get("trainer.run_key") for run in runs],
    "metrics": {run.data.tags.get("trainer.period"): run.data.metrics for run in runs},
}))
"""
_SET_ALIAS = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1], sys.argv[1])
client.set_registered_model_alias(sys.argv[2], sys.argv[3], sys.argv[4])
"""


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
    return RegistryView(**json.loads(_mlflow(uri, _LOOK, model)))


def set_alias(root: Path, alias: str, version: str, model: str = "churn") -> None:
    """Move an alias by hand, as an operator would."""
    _mlflow(_database(root), _SET_ALIAS, model, alias, version)


def _database(root: Path) -> str:
    return f"sqlite:///{root / 'var' / 'mlflow.db'}"


def _mlflow(uri: str, script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, uri, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
