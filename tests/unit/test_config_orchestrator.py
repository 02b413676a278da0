from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from trainer_daemon.config import Settings, check_settings
from trainer_daemon.config_orchestrator import OnlyWith, OrchestratorSettings
from trainer_daemon.errors import ConfigError

FOLDER = Path("/etc/trainer")
KUBEFLOW = {"kind": "kubeflow", "image": "registry.example/trainer:1"}
DEX = {**KUBEFLOW, "auth": "dex", "host": "https://kubeflow.example", "username": "trainer", "password_file": "secret/password"}
PASTED = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJwaXBlbGluZXMifQ.c2lnbmF0dXJl"


def checked(orchestrator: Mapping[str, Any], **environ: str) -> OrchestratorSettings:
    """The section of a valid configuration."""
    table = {"orchestrator": dict(orchestrator), "models": [{"name": "churn", "bucket": "drops"}]}
    settings: Settings = check_settings(table, environ, folder=FOLDER)
    return settings.orchestrator


def problems(orchestrator: Mapping[str, Any], **environ: str) -> tuple[str, ...]:
    """What is wrong with the section."""
    with pytest.raises(ConfigError) as caught:
        checked(orchestrator, **environ)
    return caught.value.problems


def test_image_is_enough_for_kubeflow() -> None:
    """In the cluster, everything else has a default."""
    settings = checked(KUBEFLOW)
    assert (settings.api_host, settings.auth, settings.caching) == ("http://ml-pipeline.kubeflow:8888", "none", False)


def test_installation_may_be_in_another_namespace_or_elsewhere() -> None:
    """The host wins over the namespace."""
    assert checked({**KUBEFLOW, "namespace": "ml"}).api_host == "http://ml-pipeline.ml:8888"
    assert checked({**KUBEFLOW, "host": "https://kf.example/pipeline/"}).api_host == "https://kf.example/pipeline"


@pytest.mark.parametrize("name", [name for name in OrchestratorSettings.model_fields if name not in {"kind", "run_timeout_s"}])
def test_every_key_says_which_kinds_it_is_for(name: str) -> None:
    """Otherwise it would be ignored in silence by another kind."""
    marks = [mark for mark in OrchestratorSettings.model_fields[name].metadata if isinstance(mark, OnlyWith)]
    assert [mark.key for mark in marks].count("kind") == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"kind": "kubeflow"},
        'orchestrator.image is missing; orchestrator.kind = "kubeflow" needs the container image of the steps',
    ),
    (
        {"host": "http://kf.example"},
        'orchestrator.host is set, but means nothing unless orchestrator.kind is one of "kubeflow" or "vertex"; remove it',
    ),
    (
        {"cpu": {"default": "1"}},
        'orchestrator.cpu is set, but means nothing unless orchestrator.kind is one of "kubeflow" or "vertex"; remove it',
    ),
    (
        {**KUBEFLOW, "username": "trainer"},
        'orchestrator.username is set, but means nothing unless orchestrator.auth is "dex"; remove it',
    ),
    (
        {**DEX, "token_file": "/t"},
        'orchestrator.token_file is set, but means nothing unless orchestrator.auth is one of "service_account_token" or "token"',
    ),
    ({**DEX, "host": ""}, 'orchestrator.host is missing; orchestrator.auth = "dex" needs the URL of the gateway'),
    ({**DEX, "password_file": ""}, 'orchestrator.password_file is missing; orchestrator.auth = "dex" needs the file with'),
    ({**KUBEFLOW, "auth": "iap", "host": "https://kf.example"}, "orchestrator.client_id is missing; "),
    ({**KUBEFLOW, "auth": "token"}, 'orchestrator.auth = "token" needs either orchestrator.token_file or'),
    ({**KUBEFLOW, "host": "ml-pipeline:8888"}, 'orchestrator.host is "ml-pipeline:8888", but must be http(s)://<host>'),
    (
        {**KUBEFLOW, "host": "https://me:pw@kf"},
        'orchestrator.host is "https://***@kf", but must be without a name and a password',
    ),
    ({**KUBEFLOW, "ca_file": "/nowhere/ca.pem"}, "but must be the path of a file; there is no file /nowhere/ca.pem"),
    ({**KUBEFLOW, "cpu": {"train_model": "much"}}, 'orchestrator.cpu.train_model is "much", but must be a quantity'),
    ({**KUBEFLOW, "memory": {"Train": "1Gi"}}, "but must be the name of a step, as train_model"),
    ({**KUBEFLOW, "retries": {"train_model": -1}}, "orchestrator.retries.train_model is -1, but"),
    ({**KUBEFLOW, "user_namespace": "Team A"}, 'orchestrator.user_namespace is "Team A", but must be of small letters'),
]


@pytest.mark.parametrize(("section", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_wrong_key_is_one_sentence(section: dict[str, Any], sentence: str) -> None:
    """It says what is wrong and what to do, once."""
    (problem,) = problems(section)
    assert sentence in problem


def test_key_that_is_set_to_its_default_is_no_problem() -> None:
    """It changes nothing, whatever the kind."""
    assert checked({"namespace": "kubeflow", "caching": False}).kind == "local"


def test_secrets_are_named_by_file_or_variable() -> None:
    """Relative paths start at the folder of the file; a variable has to be there."""
    assert Path(checked(DEX).password_file) == FOLDER / "secret" / "password"
    fixed = {**KUBEFLOW, "auth": "token", "token_variable": "KFP_TOKEN"}
    assert checked(fixed, KFP_TOKEN=PASTED).auth == "token"
    assert "there is none" in problems(fixed)[0]


def test_token_in_place_of_a_variable_is_not_repeated() -> None:
    """Messages go into logs."""
    (problem,) = problems({**KUBEFLOW, "auth": "token", "token_variable": PASTED})
    assert PASTED not in problem


def test_environment_overrides_keys_of_kubeflow() -> None:
    """Tables as TOML."""
    settings = checked(KUBEFLOW, TRAINER_ORCHESTRATOR__MEMORY='{ default = "1Gi", train_model = "4Gi" }')
    assert settings.memory == {"default": "1Gi", "train_model": "4Gi"}
