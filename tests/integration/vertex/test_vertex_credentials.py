"""Application default credentials, and nothing else: what is said when there are none that can be used."""

from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials

from trainer_daemon.adapters.vertex import default_credentials
from trainer_daemon.errors import ConfigError

HOST = "https://europe-west1-aiplatform.googleapis.com"


def complaint() -> str:
    """What is said instead of credentials, on one line."""
    with pytest.raises(ConfigError) as caught:
        default_credentials(HOST)
    (problem,) = caught.value.problems
    assert "\n" not in problem
    assert problem.startswith('orchestrator.kind = "vertex" needs application default credentials: ')
    assert problem.endswith("; get them: gcloud auth application-default login, or run as a service account")
    return problem


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is none of Google's, where nobody has logged in."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.mark.usefixtures("nobody")
def test_machine_without_credentials_is_told_how_to_get_them() -> None:
    """At the start, not with the first run."""
    assert "default credentials were not found" in complaint()


@pytest.mark.parametrize(
    ("content", "told"), [(None, "was not found"), ("not json", "is not a valid json"), ("{}", "valid type")]
)
@pytest.mark.usefixtures("nobody")
def test_file_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, told: str
) -> None:
    """Missing, no JSON, or no credential."""
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    words = complaint()
    assert str(file) in words
    assert told in words


@pytest.mark.usefixtures("nobody")
def test_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, where a secret was not mounted."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
    assert f"Is a directory: '{tmp_path}'" in complaint()


@pytest.mark.usefixtures("nobody")
def test_nothing_is_sent_in_the_clear() -> None:
    """By plain http nobody says who he is."""
    assert isinstance(default_credentials("http://127.0.0.1:8889"), AnonymousCredentials)
