import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.integration.local.spying_runs import TOLD
from tests.integration.local.traces import Make
from tests.integration.orchestrator_contract import RUN, Probe, a_request, did, eventually, outcome
from trainer_daemon.adapters.local.fork_server import read_code
from trainer_daemon.adapters.local.orchestrator import LocalOrchestrator
from trainer_daemon.adapters.local.run_folder import RunFolder, Work
from trainer_daemon.adapters.local.standby import Standby
from trainer_daemon.policy.observations import Phase

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="runs are forked on Linux only")


def test_step_finds_imported_what_it_needs(tmp_path: Path) -> None:
    """A first run begins with nothing, its steps wait for their own libraries only; a later run has all; no thread is started."""
    standby = Standby(os.environ, idle_s=60.0, is_busy=lambda: False, entry_point="tests.integration.local.spying_runs")
    training = "\n".join(
        f"pipelines.steps.{step}" for step in ("train_model", "absent", "evaluate_model", "load_and_preprocess_data")
    )
    kfp, pandas, sklearn, mlflow = ([index < count for index in range(4)] for count in (1, 2, 3, 4))
    assert [
        _told(standby, tmp_path / name, text) for name, text in (("none", ""), ("first", training), ("second", training))
    ] == [
        [kfp, kfp, kfp, kfp],
        [kfp, pandas, sklearn, mlflow],
        [mlflow, mlflow, mlflow, mlflow],
    ]
    standby.close()


def _told(standby: Standby, path: Path, names: str) -> list[list[bool]]:
    """What a run of a pipeline with this text and its steps found imported."""
    path.mkdir()
    compiled = path.with_suffix(".yaml")
    compiled.write_text(names)
    folder = RunFolder(path)
    with (path.parent / "lock").open("w") as lock:
        folder.prepare(Work(name=path.name, pipeline="spied", compiled=str(compiled), parameters={}, timeout_s=600.0))
        assert read_code(standby.start(folder, lock.fileno())) == 0
    told = [json.loads(line) for line in (path / TOLD).read_text().splitlines()]
    assert {process["threads"] for process in told} == {1}
    return [process["imported"] for process in told]


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
    """It can be cancelled, and so can one that waits behind it."""
    adapter, other = (make(grace_s=0.5, compiled=lambda _name: tmp_path / "naming.yaml") for _ in range(2))
    adapter.submit(a_request(probe, name="unwanted"))
    eventually(importing.exists)
    adapter.submit(a_request(probe, name="waiting"))
    for name in ("unwanted", "waiting"):
        other.submit(a_request(probe, name=name))
        assert other.observe([name])[name].phase is Phase.RUNNING
        eventually(partial(did, adapter.cancel, name))
        assert adapter.observe([name])[name].phase is Phase.CANCELED
    assert probe.seen() == []


def test_run_goes_on_without_the_server(importing: Path, make: Make, tmp_path: Path, probe: Probe) -> None:
    """A step that it had not begun is executed by a new interpreter; one that it had tells its end, or counts as killed."""
    adapter = make(compiled=lambda _name: tmp_path / "naming.yaml")
    adapter.submit(a_request(probe))
    eventually(importing.exists)
    eventually(lambda: "Executing task 'probe'" in adapter._folder(RUN).log.read_text())
    _kill_server(adapter)
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 1
    other = make()
    for name in ("killed", "another"):
        other.submit(a_request(probe, name=name, action="wait", word=name))
    eventually(lambda: len(probe.seen()) == 3)
    _kill_server(other)
    os.kill(next(step["pid"] for step in probe.seen() if step["word"] == "killed"), signal.SIGKILL)
    assert outcome(other, "killed").phase is Phase.FAILED
    probe.release()
    assert outcome(other, "another").phase is Phase.SUCCEEDED
    assert len(probe.seen()) == 3


def _kill_server(adapter: LocalOrchestrator) -> None:
    server = adapter._standby._server
    assert server is not None
    server.process.kill()
    server.process.wait()
