import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="steps are forked on Linux only")

RUNNER = """
import json, os, socket, sys
from pathlib import Path
from trainer_daemon.adapters.local import run_server
from trainer_daemon.adapters.local.fork_server import a_channel, ask_to_fork, read_code
from trainer_daemon.adapters.local.forked_steps import ForkedSteps

mark, *bodies = sys.argv[1:]

def lead(folder, lock, channel):
    steps = ForkedSteps(channel, Path(mark))
    for body in bodies:
        source = "import glob, json, os, sys, threading, time\\ndef component() -> None:\\n    " + body + "\\n"
        print("code", steps.run(source, arguments, environment={"MARK": mark}), flush=True)

arguments = ["--executor_input", json.dumps({"outputs": {"outputFile": mark + ".out"}}), "--function_to_execute", "component"]
ours, theirs = a_channel()
if os.fork() == 0:
    ours.close()
    os.dup2(theirs.fileno(), 0)
    theirs.close()
    run_server.serve(lead)
    os._exit(0)
theirs.close()
lock = os.open(mark + ".lock", os.O_RDWR | os.O_CREAT)
sys.exit(read_code(ask_to_fork(ours, os.fsencode(mark), lock)))
"""


def _run(mark: Path, *bodies: str) -> str:
    """What a runner prints that executes steps with these bodies, one after the other."""
    command = [sys.executable, "-c", RUNNER, str(mark), *bodies]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600, check=True).stdout


def _said(printed: str) -> list[Any]:
    return [json.loads(line.removeprefix("said ")) for line in printed.splitlines() if line.startswith("said ")]


def test_step_ends_with_the_code_of_an_interpreter(tmp_path: Path) -> None:
    """Success is 0, an exception 1 with its traceback, a signal the number and the word that a shell has for it."""
    printed = _run(tmp_path / "steps", "pass", "1 / 0", f"os.kill(os.getpid(), {int(signal.SIGKILL)})", "pass")
    assert [line for line in printed.splitlines() if line.startswith("code ")] == ["code 0", "code 1", "code 137", "code 0"]
    assert printed.count("ZeroDivisionError: division by zero") == 1
    assert "\nKilled\n" in printed


def test_functions_registered_for_the_end_of_a_step_run(tmp_path: Path) -> None:
    """A step leaves without taking the interpreter apart, but not without what libraries do at exit, nor before its threads."""
    late = "threading.Thread(target=lambda: (time.sleep(0.2), print('the thread ended'))).start()"
    printed = _run(tmp_path / "steps", f"import atexit; atexit.register(print, 'at exit'); {late}")
    assert printed.index("the thread ended") < printed.index("at exit") < printed.index("code 0")


def test_step_holds_the_mark_and_no_descriptor_of_the_runner(tmp_path: Path) -> None:
    """The mark is what an orphan is found by; a lock that it inherited would look like a live run."""
    links = "[os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')]"
    mark = "os.environ['MARK']"
    printed = _run(tmp_path / "steps", f"print('said', json.dumps([{mark} in {links}, {mark} + '.lock' in {links}]))")
    assert _said(printed) == [[True, False]]


def test_server_without_room_for_a_process_tells_and_goes_on() -> None:
    """One child that cannot be is told like one that failed; the next one is forked, and those that there are are waited for."""
    script = """
import os
from trainer_daemon.adapters.local.fork_server import ForkServer, a_channel, ask_to_fork, read_code
ours, theirs = a_channel()
codes = [ask_to_fork(ours, b"run", 0) for _ in range(2)]
fork, calls = os.fork, iter([BlockingIOError(11, "no room")])
def limited():
    for error in calls:
        raise error
    return fork()
os.fork = limited
pid = fork()
if pid == 0:
    ours.close()
    child = ForkServer(theirs, lambda message: iter(())).until_forked()
    os._exit(7 if child else 0)
theirs.close()
print([read_code(code) for code in codes])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout == "[1, 7]\n"
