import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local.spying_runs import TOLD
from tests.integration.local.traces import Make
from tests.integration.orchestrator_contract import RUN, Probe, a_request, did, eventually, outcome
from trainer_daemon.adapters.local.fork_server import read_code
from trainer_daemon.adapters.local.run_folder import RunFolder, Work
from trainer_daemon.adapters.local.standby import Standby
from trainer_daemon.policy.observations import Phase

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="runs are forked on Linux only")


def test_run_finds_imported_what_its_steps_need(tmp_path: Path) -> None:
    """Its first one too, whose log says what takes so long; what names no step pays for nothing; no thread is started."""
    standby = Standby(os.environ, idle_s=60.0, is_busy=lambda: False, entry_point="tests.integration.local.spying_runs")
    steps = ("", "pipelines.steps.load_and_preprocess_data", "pipelines.steps.absent", "pipelines.steps.evaluate_model")
    assert [_told(standby, tmp_path / f"run-{number}", step) for number, step in enumerate(steps)] == [
        {"imported": [True, False, False, False], "threads": 1},
        {"imported": [True, True, False, False], "threads": 1},
        {"imported": [True, True, False, False], "threads": 1},
        {"imported": [True, True, True, True], "threads": 1},
    ]
    logs = [(tmp_path / f"run-{number}" / "log.txt") for number in range(len(steps))]
    assert [log.read_text() if log.exists() else "" for log in logs] == [
        *("", "load_and_preprocess_data: importing libraries …\n"),
        *("", "evaluate_model: importing libraries …\n"),
    ]
    standby.close()


def _told(standby: Standby, path: Path, names: str) -> dict[str, Any]:
    """What a run of a pipeline with this text says."""
    path.mkdir()
    compiled = path.with_suffix(".yaml")
    compiled.write_text(names)
    folder = RunFolder(path)
    with (path.parent / "lock").open("w") as lock:
        folder.prepare(Work(name=path.name, pipeline="spied", compiled=str(compiled), parameters={}, timeout_s=600.0))
        assert read_code(standby.start(folder, lock.fileno())) == 0
    told: dict[str, Any] = json.loads((path / TOLD).read_text())
    return told


@pytest.fixture
def importing(tmp_path: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that takes an hour to import, for servers made now: the file that says that one has begun it."""
    begun = tmp_path / "begun"
    library = tmp_path / "slow" / "skops" / "__init__.py"
    library.parent.mkdir(parents=True)
    library.write_text(f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(3600)\n")
    monkeypatch.setenv("PYTHONPATH", str(library.parent.parent))
    named = (compiled / "probe.yaml").read_text() + "\n# pipelines.steps.train_model\n"
    (tmp_path / "naming.yaml").write_text(named)
    return begun


def test_run_whose_libraries_are_being_imported_is_live(importing: Path, make: Make, tmp_path: Path, probe: Probe) -> None:
    """It can be cancelled, and when the server is killed it vanishes, to be executed once by another one."""
    adapter, other = (make(grace_s=0.5, compiled=lambda _name: tmp_path / "naming.yaml") for _ in range(2))
    adapter.submit(a_request(probe, name="unwanted"))
    eventually(importing.exists)
    other.submit(a_request(probe, name="unwanted"))
    assert other.observe(["unwanted"])["unwanted"].phase is Phase.RUNNING
    eventually(lambda: did(adapter.cancel, "unwanted"))
    assert adapter.observe(["unwanted"])["unwanted"].phase is Phase.CANCELED
    importing.unlink()
    adapter.submit(a_request(probe))
    eventually(importing.exists)
    server = adapter._standby._server
    assert server is not None
    server.process.kill()
    server.process.wait()
    assert other.observe([RUN])[RUN].phase is Phase.VANISHED
    assert probe.seen() == []
    last = make()
    last.submit(a_request(probe))
    assert outcome(last, RUN).phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 1
