"""An orchestrator whose disk is full starts nothing, and says why what it had failed."""

from pathlib import Path

import pytest

from tests.fakes import FakeOrchestrator
from trainer_daemon import room
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.failures import is_full_disk
from trainer_daemon.policy.observations import Phase
from trainer_daemon.ports import RunRequest
from trainer_daemon.room import RoomMindingOrchestrator

REQUEST = RunRequest(name="run", pipeline="hello", parameters={}, timeout_s=1.0)
EB = 2**60


def test_full_disk_starts_nothing_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was failing is told with it, so that it costs no attempt; with room everything is as it was."""
    inner = FakeOrchestrator()
    orchestrator = RoomMindingOrchestrator(orchestrator=inner, workspace=tmp_path)
    orchestrator.submit(REQUEST)
    inner.phases["run"], inner.reasons["run"] = Phase.FAILED, "it ended without a message"
    assert orchestrator.observe(["run"])["run"].reason == "it ended without a message"
    artifact = tmp_path / "runs" / "run" / "artifacts" / "half-written"
    artifact.parent.mkdir(parents=True)
    artifact.touch()
    assert orchestrator.observe(["run"])
    assert artifact.exists()
    monkeypatch.setattr(room, "ROOM_MIN_BYTES", EB)
    assert is_full_disk(orchestrator.observe(["run"])["run"].reason)
    assert not artifact.exists()
    with pytest.raises(TemporaryError, match=r"cannot start run other: No space left .* make room"):
        orchestrator.submit(RunRequest(name="other", pipeline="hello", parameters={}, timeout_s=1.0))
    assert list(inner.requests) == ["run"]


def test_memory_is_given_back_before_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for one that does not begin."""
    given: list[int] = []
    inner = FakeOrchestrator()
    orchestrator = RoomMindingOrchestrator(
        orchestrator=inner, workspace=tmp_path, spare_memory=lambda: given.append(len(inner.requests))
    )
    orchestrator.submit(REQUEST)
    assert given == [0]
    monkeypatch.setattr(room, "ROOM_MIN_BYTES", EB)
    with pytest.raises(TemporaryError):
        orchestrator.submit(REQUEST)
    assert given == [0]
