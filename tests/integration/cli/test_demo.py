"""The demo as a user calls it, and its parts against real files."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from trainer_daemon.demo_stage import MARKER, DemoError, prepare
from trainer_daemon.demo_steps import StepLines


def test_demo_folder_is_made_anew_and_a_stranger_is_left_alone(tmp_path: Path) -> None:
    """What makes it the demo's is a file that the demo writes."""
    stage = prepare(tmp_path / "demo")
    stage.upload("churn_data_2025_03.csv", "a")
    assert list(prepare(stage.folder).drops.iterdir()) == []
    (stage.folder / MARKER).unlink()
    with pytest.raises(DemoError, match="was not made by the demo"):
        prepare(stage.folder)
    assert stage.config.exists()


def test_step_lines_are_what_steps_say_themselves(tmp_path: Path) -> None:
    """Out of what kfp prints around it; each line once, when it is complete."""
    log = tmp_path / "log.txt"
    lines = StepLines(log)
    assert (list(lines.new()), lines.spoke) == ([], False)
    log.write_text(
        "06:30:52.461 - INFO - Executing task 'say'\n06:30:52.461 - INFO - Streamed logs:\n\n"
        "    [KFP Executor 2026-11-21 06:30:52,557 INFO]: Got executor_input:\n"
        '    {\n        "inputs": {\n        }\n    }\n    reading …\n    rea'
    )
    assert (list(lines.new()), lines.spoke) == (["reading …"], True)
    with log.open("a") as file:
        file.write("ding: 0.1 s\n    Traceback (most recent call last):\n      File x\n")
        file.write("06:30:52.571 - INFO - Task 'say' finished\n    schema: x\n")
    assert list(lines.new()) == ["reading: 0.1 s"]


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that was started for a folder."""
    return [process for process in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(process.info["cmdline"] or [])]


@pytest.mark.timeout(1200)
def test_demo_shows_the_main_job_and_leaves_no_process_behind(tmp_path: Path) -> None:
    """As a user calls it, without a terminal."""
    folder = tmp_path / "stage"
    command = [sys.executable, "-m", "trainer_daemon", "demo", "--folder", str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=1190)
    assert (done.returncode, done.stderr) == (0, "")
    table = done.stdout.partition("What arrived, and what came of it")[2]
    rows = [line.split()[:2] for line in table.splitlines() if re.match(r" ?churn_data", line)]
    assert [(name.removeprefix("churn_data_"), state) for name, state in rows] == [
        ("2025_03.csv", "PROMOTED"),
        ("2025_03.csv", "no"),
        ("2025_05.csv", "QUARANTINED"),
        ("2025_05.csv", "PROMOTED"),
        ("2025_06.csv", "SUPERSEDED"),
        ("2025_06.csv", "PROMOTED"),
        ("2025_07.csv", "REJECTED"),
    ]
    assert "Champion: version 3, trained on 2025-06." in table
    assert "│ registered version 3 of churn" in done.stdout
    assert processes_of(folder) == []


def test_interrupted_demo_ends_everything_that_it_started(tmp_path: Path) -> None:
    """In the middle of a run, as soon as its first step speaks."""
    folder = tmp_path / "stage"
    command = [sys.executable, "-m", "trainer_daemon", "demo", "--folder", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout
        assert any("│" in line for line in child.stdout)
        child.send_signal(signal.SIGTERM)
        child.stdout.read()
    assert child.returncode not in {0, -signal.SIGTERM}
    assert processes_of(folder) == []
