"""The faults of a drill, one function each: what is done to the daemon, and what has to have come of it in the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from trainer_daemon.drill.play import Play, Unfulfilled
from trainer_daemon.policy.promises import Finding, Verdict
from trainer_daemon.policy.runs import RunState

_CHAMPIONS = 2


class Fault(StrEnum):
    """What can be drilled, in this order."""

    KILL_DAEMON = "kill-daemon"
    KILL_CHILDREN = "kill-children"
    KILL_EVERYTHING = "kill-everything"
    SAME_BYTES = "same-bytes"
    CORRECTION = "correction"
    BROKEN_FILE = "broken-file"
    MOVED_ALIAS = "moved-alias"


class SkippedError(Exception):
    """A fault cannot be tried here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One fault: its headline, and what does it, checks it and returns what was seen."""

    headline: str
    play: Callable[[Play], str]


def drill(fault: Fault, play: Play) -> Finding:
    """Cause a fault, and see what came of it."""
    scene = SCENES[fault]
    play.screen.headline(f"{fault}: {scene.headline}")
    try:
        seen = scene.play(play)
    except SkippedError as exc:
        return Finding(name=fault.value, verdict=Verdict.SKIPPED, seen=str(exc))
    except Unfulfilled as exc:
        return Finding(name=fault.value, verdict=Verdict.BROKEN, seen=str(exc))
    return Finding(name=fault.value, verdict=Verdict.HELD, seen=seen)


def _kill_daemon(play: Play) -> str:
    month = play.upload_month()
    run = play.until_at_work(month)
    play.kill_daemon()
    play.start_daemon()
    run = play.until_decided(run)
    _require(run.attempt == 1, f"run {run.name} was repeated, although it went on without the daemon")
    return f"the run went on and ended {run.state}, once"


def _kill_children(play: Play) -> str:
    run = play.until_at_work(play.upload_month())
    daemon = play.daemon_pid
    killed = play.kill_children()
    run = play.until_decided(run)
    _require(play.daemon_pid == daemon, "the daemon ended with its children")
    return f"{killed} processes killed; the daemon went on, the run ended {run.state} in attempt {run.attempt}"


def _kill_everything(play: Play) -> str:
    run = play.until_at_work(play.upload_month())
    lost = play.views.told("run_lost")
    killed = play.kill_everything()
    play.start_daemon()
    run = play.until_decided(run)
    course = "was started again and" if play.views.told("run_lost") > lost else "had come to its end before, and"
    return f"{killed} processes killed; the run {course} ended {run.state}"


def _same_bytes(play: Play) -> str:
    run = play.until_decided(play.until_running(play.upload_month()))
    runs = len(play.records().runs)
    before = play.duplicates()
    play.upload_again(run)
    play.until(lambda: play.duplicates() > before, "the repeated upload to be recognised")
    _require(len(play.records().runs) == runs, "the same bytes started another run")
    return "recognised, nothing was started"


def _correction(play: Play) -> str:
    older = play.until_running(play.upload_month())
    newer = play.until_running(play.upload_correction(older))
    older, newer = play.until_ended(older), play.until_decided(newer)
    if older.state is not RunState.SUPERSEDED and older.updated_at <= play.recorded_at(newer):
        msg = f"the run was too quick: it had ended {older.state} before the corrected bytes were seen"
        raise SkippedError(msg)
    _require(older.state is RunState.SUPERSEDED, f"the older run ended {older.state} instead of SUPERSEDED")
    return f"the older run was ended, the corrected bytes were trained: {newer.state}"


def _broken_file(play: Play) -> str:
    if play.model.training.pipeline != "training":
        msg = f"pipeline {play.model.training.pipeline} may not look at its data"
        raise SkippedError(msg)
    broken = play.until_ended(play.until_running(play.upload_month(cut=True)))
    _require(broken.state is RunState.QUARANTINED, f"the run of a file that was cut off ended {broken.state}")
    mended = play.until_decided(play.until_running(play.upload_correction(broken)))
    return f"quarantined: {broken.error}; the whole file ended {mended.state}"


def _moved_alias(play: Play) -> str:
    for _ in range(_CHAMPIONS):
        if len(play.version_numbers()) < _CHAMPIONS:
            play.until_decided(play.until_running(play.upload_month()))
    champion, numbers = play.views.champion(), play.version_numbers()
    other = next((number for number in numbers if number != champion), "")
    if not champion or not other:
        msg = f"there are {len(numbers)} versions, and the champion is {champion or 'nobody'}: nothing to move"
        raise SkippedError(msg)
    play.views.move_alias(other, champion)
    play.screen.line(f"  version {other} is champion now, by hand")
    run = play.until_decided(play.until_running(play.upload_month()))
    judged = run.decision.champion_version if run.decision else ""
    _require(judged == other, f"the next candidate was judged against version {judged or 'none'}, not {other}")
    noticed = any(reign.cause == "external" and reign.version == other for reign in play.records().reigns)
    _require(noticed, "the ledger does not know that somebody else moved the alias")
    return f"noticed, respected: the next candidate was judged against version {other} and {run.state}"


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - as `assert`
    if not condition:
        raise Unfulfilled(otherwise)


SCENES: Mapping[Fault, Scene] = {
    Fault.KILL_DAEMON: Scene(headline="kill -9 of the daemon while a run is under way", play=_kill_daemon),
    Fault.KILL_CHILDREN: Scene(
        headline="kill -9 of its children: the run, its steps, the process for MLflow", play=_kill_children
    ),
    Fault.KILL_EVERYTHING: Scene(headline="kill -9 of everything at once, as a machine that dies", play=_kill_everything),
    Fault.SAME_BYTES: Scene(headline="the same file is uploaded once more", play=_same_bytes),
    Fault.CORRECTION: Scene(headline="a corrected file arrives while the older one is trained", play=_correction),
    Fault.BROKEN_FILE: Scene(headline="a file is cut off in the middle of a line, and uploaded whole later", play=_broken_file),
    Fault.MOVED_ALIAS: Scene(headline="somebody moves the alias of the champion by hand", play=_moved_alias),
}
