"""What a scene of the drill can do: upload, wait for what should come of it, kill; and what it was that was uploaded."""

import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

import psutil

from trainer_daemon.commands.records import Records
from trainer_daemon.config import ModelSettings
from trainer_daemon.demo_screen import Screen
from trainer_daemon.demo_stage import Daemon, Stage
from trainer_daemon.drill.patience import Patience
from trainer_daemon.drill.seeing import Views, processes_of
from trainer_daemon.drill.stage import Drops, cut_off, name_of, packed
from trainer_daemon.errors import TrainerError
from trainer_daemon.policy.promises import Upload
from trainer_daemon.policy.runs import LIVE, Run, RunState

_LOOK_S = 0.1
_KILL_S_MAX, _KILL_AGAIN_S = 30.0, 0.02
_DECIDED = frozenset({RunState.PROMOTED, RunState.REJECTED})


class Unfulfilled(TrainerError):  # noqa: N818 - it is the promise that is wrong, not the program
    """What should have come of a fault did not; the sentence says what came instead."""


class Play:
    """A daemon on a stage, for all scenes.

    Args:
        stage: Where it plays.
        model: The settings that are drilled.
        drops: Where months come from.
        views: Of the stage.
        screen: For whoever watches.
        timeout_s: How long nothing may happen while something is waited for.
    """

    def __init__(
        self, *, stage: Stage, model: ModelSettings, drops: Drops, views: Views, screen: Screen, timeout_s: float
    ) -> None:
        self.model = model
        self.views = views
        self.screen = screen
        self.uploads: list[Upload] = []
        self._stage = stage
        self._drops = drops
        self._timeout_s = timeout_s
        self._months, self._texts = 0, 0
        self._daemon = Daemon(stage)

    @property
    def daemon_pid(self) -> int:
        """Of the daemon that runs; it has to."""
        if not self._daemon.is_alive():
            msg = f"the daemon ended by itself; the end of its log:\n{self._daemon.last_words()}"
            raise Unfulfilled(msg)
        return self._daemon.pid

    def records(self) -> Records:
        """The ledger as it is now."""
        return self.views.records()

    def upload_month(self, *, cut: bool = False) -> Upload:
        """A new month; with `cut` it ends in the middle of a row."""
        self._months += 1
        text = self._next_text()
        return self._upload(name_of(self.model, self._months), cut_off(text) if cut else text)

    def upload_correction(self, run: Run) -> Upload:
        """Other bytes under the name of a run's drop."""
        return self._upload(run.drop.uri.rpartition("/")[2], self._next_text())

    def upload_again(self, run: Run) -> None:
        """The same bytes as another file."""
        path = self._stage.drops / run.drop.uri.rpartition("/")[2]
        scratch = self._stage.folder / ".again.part"
        scratch.write_bytes(path.read_bytes())
        scratch.replace(path)

    def recorded_at(self, run: Run) -> datetime:
        """When the daemon saw what a run is for."""
        return next(item.recorded_at for item in self.records().happenings if item.event.id == run.event_id)

    def duplicates(self) -> int:
        """How many events were recognised as duplicates."""
        return sum(item.outcome == "duplicated" for item in self.records().happenings)

    def version_numbers(self) -> list[str]:
        """Every registered version of a run in the ledger."""
        return [number for numbers in self.views.versions(self.records()).values() for number in numbers]

    def until_running(self, upload: Upload) -> Run:
        """The upload's run, once it is under way or beyond."""
        return self._until_run(upload, lambda run: run.state is not RunState.QUEUED, "its run to begin")

    def until_at_work(self, upload: Upload) -> Run:
        """The upload's run, once there is a process of it that says something, or was."""
        return self._until_run(upload, lambda run: self.views.has_spoken(run) or _has_ended(run), "its run to be at work")

    def until_ended(self, run: Run) -> Run:
        """The run, once nothing is to happen to it any more."""
        return self._until_run(_upload_of(run), _has_ended, "its run to end")

    def until_decided(self, run: Run) -> Run:
        """The run, once it has ended with a decision; anything else is not as it should be."""
        ended = self.until_ended(run)
        if ended.state not in _DECIDED:
            msg = f"run {ended.name} ended {ended.state}: {ended.error}"
            raise Unfulfilled(msg)
        return ended

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Look until something has happened, however slow the machine is, as long as anything goes on.

        Raises:
            Unfulfilled: Nothing comes any nearer to it, or the daemon has ended.
        """
        patience = Patience(self.views.progress, self._timeout_s)
        with self.screen.waiting(f"waiting for {what}"):
            while not condition():
                _ = self.daemon_pid
                if patience.exhausted:
                    msg = f"nothing has happened for {self._timeout_s:g} s while waiting for {what}"
                    raise Unfulfilled(msg)
                self.screen.still(f"waiting for {what}")
                time.sleep(_LOOK_S)

    def kill_daemon(self) -> None:
        """`kill -9`; its children are left alone."""
        self._daemon.kill()
        self.screen.line("  the daemon is killed")

    def start_daemon(self) -> None:
        """Another one, as Kubernetes or systemd would start it."""
        self._daemon = Daemon(self._stage)
        self.screen.line("  the daemon is started again")

    def stop_daemon(self) -> None:
        """In an orderly way."""
        self._daemon.stop()

    def end(self) -> None:
        """Let nothing go on of what was started here, however the drill ends."""
        if self._daemon.is_alive():
            self.kill_everything()
        _killed(processes_of(self._stage.folder))

    def kill_children(self) -> int:
        """`kill -9` of everything below the daemon; how many processes that were."""
        killed = _killed(psutil.Process(self.daemon_pid).children(recursive=True))
        self.screen.line(f"  {killed} processes are killed")
        return killed

    def kill_everything(self) -> int:
        """`kill -9` of the daemon and of all below it, also of what is started just then; how many processes that were."""
        below = psutil.Process(self.daemon_pid).children(recursive=True)
        self._daemon.kill()
        killed = 1 + _killed(below)
        deadline = time.monotonic() + _KILL_S_MAX
        while (left := processes_of(self._stage.folder)) and time.monotonic() < deadline:
            killed += _killed(left)
            time.sleep(_KILL_AGAIN_S)
        if left:
            self.screen.line(f"  {len(left)} processes survive it: {', '.join(str(process.pid) for process in left)}")
        self.screen.line(f"  {killed} processes are killed")
        return killed

    def _upload(self, name: str, text: str) -> Upload:
        body = packed(name, text)
        scratch, path = self._stage.folder / f".{name}.part", self._stage.drops / name
        scratch.write_bytes(body)
        scratch.replace(path)
        self.uploads.append(Upload(uri=path.as_uri(), checksum=f"sha256:{hashlib.sha256(body).hexdigest()}"))
        self.screen.line(f"  {name} is uploaded")
        return self.uploads[-1]

    def _next_text(self) -> str:
        self._texts += 1
        return self._drops.month(self._texts)

    def _until_run(self, upload: Upload, condition: Callable[[Run], bool], what: str) -> Run:
        found: list[Run] = []

        def looked() -> bool:
            found[:] = [run for run in self.records().runs if _upload_of(run) == upload and condition(run)]
            return bool(found)

        self.until(looked, f"{what}, of {upload.uri.rpartition('/')[2]}")
        return found[0]


def _killed(processes: Iterable[psutil.Process]) -> int:
    """How many of these processes there were to kill."""
    killed = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()  # not before it has looked whether it is still the same process
            killed += 1
    return killed


def _upload_of(run: Run) -> Upload:
    return Upload(uri=run.drop.uri, checksum=run.drop.checksum)


def _has_ended(run: Run) -> bool:
    return run.state not in LIVE and not (run.state is RunState.FAILED and run.attempt < run.attempts_max)
