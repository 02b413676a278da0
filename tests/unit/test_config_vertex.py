from pathlib import Path
from typing import Any

import pytest

from trainer_daemon.config import check_settings
from trainer_daemon.config_orchestrator import OrchestratorSettings
from trainer_daemon.errors import ConfigError

FOLDER = Path("/etc/trainer")
VERTEX = {
    "kind": "vertex",
    "project": "my-project",
    "location": "europe-west1",
    "pipeline_root": "gs://artifacts/runs",
    "image": "europe-docker.pkg.dev/my-project/ml/trainer:1",
}


def checked(orchestrator: dict[str, Any]) -> OrchestratorSettings:
    """The section of a valid configuration."""
    table = {"orchestrator": orchestrator, "models": [{"name": "churn", "bucket": "drops"}]}
    return check_settings(table, {}, folder=FOLDER).orchestrator


def test_project_region_root_and_image_are_enough() -> None:
    """The rest follows from them."""
    settings = checked(VERTEX)
    assert settings.api_host == "https://europe-west1-aiplatform.googleapis.com"
    assert settings.run_link("churn-1") == (
        "https://console.cloud.google.com/vertex-ai/locations/europe-west1/pipelines/runs/churn-1?project=my-project"
    )
    assert settings.run_link("") == ""
    assert 'pipeline_job_id="churn-1"\' --project=my-project' in settings.log_command("churn-1")


def test_every_key_of_vertex_may_be_set() -> None:
    """An endpoint of one's own, for networks without the internet; the image's account, network, labels and limits."""
    settings = checked(
        {
            **VERTEX,
            "host": "https://aiplatform-ml.p.googleapis.com",
            "service_account": "steps@my-project.iam.gserviceaccount.com",
            "network": "projects/4711/global/networks/ml",
            "labels": {"team": "churn", "cost-center": "42"},
            "caching": True,
            "memory": {"train_model": "8Gi"},
        }
    )
    assert (settings.api_host, settings.labels["cost-center"]) == ("https://aiplatform-ml.p.googleapis.com", "42")


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"project": ""},
        'orchestrator.project is missing; orchestrator.kind = "vertex" needs the project that runs belong to',
    ),
    ({"location": ""}, "orchestrator.location is missing; "),
    (
        {"pipeline_root": ""},
        'orchestrator.pipeline_root is missing; orchestrator.kind = "vertex" needs a place for artifacts, such as gs://bucket/runs',
    ),
    ({"image": ""}, "orchestrator.image is missing; "),
    (
        {"pipeline_root": "s3://artifacts/runs"},
        'orchestrator.pipeline_root is "s3://artifacts/runs", but must be gs://bucket/folder',
    ),
    ({"pipeline_root": "gs://"}, 'orchestrator.pipeline_root is "gs://", but must be gs://bucket/folder'),
    ({"location": "Frankfurt"}, 'orchestrator.location is "Frankfurt", but must be a region such as "europe-west1"'),
    ({"location": "europe-west1-b"}, 'but must be a region such as "europe-west1"'),
    ({"project": "My Project"}, 'orchestrator.project is "My Project", but must be the id of a project'),
    ({"network": "projects/my-project/global/networks/ml"}, "with the number of the project, not its id"),
    ({"service_account": "steps"}, 'orchestrator.service_account is "steps", but must be an e-mail address'),
    ({"service_account": "me@example.com"}, "must be the e-mail address of a service account"),
    ({"labels": {"Team": "churn"}}, "must be a label: a small letter"),
    ({"labels": {"trainer_daemon": "x"}}, "must not begin with"),
    ({"labels": {"team": "Churn!"}}, "must be a value of a label"),
    ({"labels": {"vertex-ai-pipelines-run-billing-id": "1"}}, "must be another one: Vertex AI writes its own value"),
    ({"labels": {"team": 4}}, "orchestrator.labels.team is 4, but must be text"),
    ({"retries": {"train_model": -1}}, "orchestrator.retries.train_model is -1, but must be greater than or equal to 0"),
    ({"caching": "yes"}, 'orchestrator.caching is "yes", but must be true or false'),
    ({"cachng": True}, 'orchestrator.cachng is not a known key; did you mean "caching"?'),
    ({"host": "europe-west1-aiplatform.googleapis.com"}, "but must be http(s)://<host>"),
    ({"namespace": "ml"}, 'orchestrator.namespace is set, but means nothing unless orchestrator.kind is "kubeflow"; remove it'),
    ({"auth": "token"}, 'orchestrator.auth is set, but means nothing unless orchestrator.kind is "kubeflow"; remove it'),
    ({"pipline_root": "gs://a/b"}, 'did you mean "pipeline_root"?'),
    ({"kind": "vertexai"}, 'did you mean "vertex"?'),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_wrong_key_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    """It says what is wrong and what to do, once."""
    with pytest.raises(ConfigError) as caught:
        checked({**VERTEX, **changes})
    (problem,) = caught.value.problems
    assert sentence in problem


def test_keys_of_vertex_mean_nothing_elsewhere() -> None:
    """They would be ignored in silence."""
    with pytest.raises(ConfigError) as caught:
        checked({"kind": "kubeflow", "image": "i:1", "project": "my-project", "service_account": "a@b.iam.gserviceaccount.com"})
    stray, account = caught.value.problems
    assert stray == 'orchestrator.project is set, but means nothing unless orchestrator.kind is "vertex"; remove it'
    assert "must be a name of Kubernetes" in account
