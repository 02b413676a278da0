"""Writes into MLflow what the steps of a pipeline and people write; a process of its own, so that tests do not import MLflow.

One line of JSON in, `[tracking URI, name, arguments]`; one line out, `{"result": …}` or `{"error": …}`.
"""

import json
import sys
from typing import Any

from mlflow.artifacts import load_text
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

_REPLIES = sys.stdout
_clients: dict[str, MlflowClient] = {}


def leave_run(client: MlflowClient, *, model: str, tags: dict[str, str], files: dict[str, str], artifacts: str) -> str:
    """An MLflow run of the experiment named like the model; returns its id."""
    experiment = client.get_experiment_by_name(model)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(model, artifacts or None)
    run_id: str = client.create_run(experiment_id, tags=tags).info.run_id
    for name, text in files.items():
        client.log_text(run_id, text, name)
    return run_id


def rewrite(client: MlflowClient, *, model: str, run_key: str, files: dict[str, str]) -> None:
    """Replace files of the run of a key, as another attempt does."""
    experiments = [each.experiment_id for each in client.search_experiments() if each.name == model]
    found = client.search_runs(experiments, f"tags.`trainer.run_key` = '{run_key}'")
    for name, text in files.items():
        client.log_text(found[0].info.run_id, text, name)


def register(client: MlflowClient, *, model: str, run_id: str, tags: dict[str, str]) -> str:
    """A version of a model, whose registered model is made when it is missing."""
    try:
        client.create_registered_model(model)
    except MlflowException as exc:
        if exc.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    run = client.get_run(run_id) if run_id else None
    source = f"{run.info.artifact_uri}/model" if run else "gs://somewhere/else"
    return str(client.create_model_version(model, source, run_id=run_id or None, tags=tags).version)


def set_alias(client: MlflowClient, *, model: str, alias: str, version: str) -> None:
    """Move an alias, as a person may."""
    client.set_registered_model_alias(model, alias, version)


def alias(client: MlflowClient, *, model: str, alias: str) -> str:
    """The version an alias points to, empty when it points to none."""
    return str(client.get_registered_model(model).aliases.get(alias, ""))


def tags(client: MlflowClient, *, model: str, version: str) -> dict[str, str]:
    """The tags of a version."""
    return dict(client.get_model_version(model, version).tags)


def description(client: MlflowClient, *, model: str, version: str) -> str:
    """The description of a version."""
    return client.get_model_version(model, version).description or ""


def report(client: MlflowClient, *, model: str, run_key: str) -> str:
    """The report of a run; empty when it has none."""
    experiment = client.get_experiment_by_name(model)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.`trainer.run_key` = '{run_key}'")
    if not runs or "report.html" not in {entry.path for entry in client.list_artifacts(runs[0].info.run_id)}:
        return ""
    return str(load_text(f"{runs[0].info.artifact_uri}/report.html"))


_ACTIONS: dict[str, Any] = {
    action.__name__: action for action in (leave_run, rewrite, register, set_alias, alias, tags, description, report)
}

if __name__ == "__main__":
    sys.stdout = sys.stderr
    for line in sys.stdin:
        uri, name, arguments = json.loads(line)
        client = _clients.setdefault(uri, MlflowClient(uri, registry_uri=uri))
        if uri.startswith("http"):
            import mlflow

            mlflow.set_tracking_uri(uri)
        try:
            reply = {"result": _ACTIONS[name](client, **arguments)}
        except MlflowException as exc:
            reply = {"error": str(exc)}
        _REPLIES.write(json.dumps(reply) + "\n")
        _REPLIES.flush()
