"""What every command begins with: settings, the ledger, the model it is about - and the words for what is missing."""

import getpass
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import typer

from trainer_daemon.adapters.ledger.history import History, open_history
from trainer_daemon.config import ModelSettings, Settings, load_settings
from trainer_daemon.config_values import closest
from trainer_daemon.errors import TrainerError
from trainer_daemon.policy.runs import Run
from trainer_daemon.singleton import holder, lock_path

DEFAULT_CONFIG = Path("trainer.toml")


class CommandError(TrainerError):
    """What was asked for cannot be done; one sentence says why, and what can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One call of the command line.

    Attributes:
        daemon_pid: Process id of the daemon that uses the ledger, None when none does, 0 when it has not said its id yet.
        before: What has to stand before a command where it is copied to.
    """

    config: Path
    settings: Settings
    daemon_pid: int | None = None
    before: tuple[str, ...] = ()

    def command(self, *words: str) -> str:
        """A command line that a person can copy; words are quoted where a shell needs it."""
        config = () if self.config == DEFAULT_CONFIG else ("-c", str(self.config))
        return shlex.join((*self.before, "trainer-daemon", *words, *config))

    def daemon(self) -> str:
        """Whether a daemon is running, and what to do when none is."""
        if self.is_shared:
            return self._workers() or f"No daemon works on the ledger; start one with `{self.command('run')}`."
        if self.daemon_pid is None:
            return f"No daemon is running; start one with `{self.command('run')}`."
        return f"The daemon is running (pid {self.daemon_pid})." if self.daemon_pid else "The daemon is starting."

    def carried_out(self) -> str:
        """Who does what was asked for, and when."""
        if self.is_shared and self._workers():
            return "A daemon carries it out within seconds."
        if self.daemon_pid is not None:
            return "The daemon carries it out within seconds."
        return f"No daemon is running: it is carried out when one starts (`{self.command('run')}`)."

    @property
    def is_shared(self) -> bool:
        """Whether daemons on other machines may use the ledger, which then tells who works."""
        return lock_path(self.settings.ledger) is None

    def _workers(self) -> str:
        """Who holds a lease; empty when nobody does, or the ledger does not say."""
        with suppress(TrainerError), reading(self) as history:
            found = [history.holding(model.name) for model in self.settings.models] if history else []
            names = dict.fromkeys(holding.lease.holder for holding in found if holding is not None and holding.is_held)
            return f"Daemons that work: {', '.join(names)}." if names else ""
        return ""

    def model(self, name: str) -> ModelSettings:
        """The settings of a configured model."""
        return next(model for model in self.settings.models if model.name == name)

    def log_of(self, run_name: str) -> Path:
        """What a run and its steps print."""
        return self.settings.workspace / "runs" / run_name / "log.txt"

    def link_of(self, run: Run) -> str:
        """The page of a run where it is executed; empty when there is none."""
        return self.settings.orchestrator.run_link(run.orchestrator_run)

    def place_of(self, run: Run) -> str:
        """Where a person can see what a run and its steps print."""
        if self.settings.orchestrator.kind == "local":
            return str(self.log_of(run.name))
        return self.link_of(run) or f"run {run.orchestrator_run or run.name} on {self.settings.orchestrator.title}"

    def models(self, wanted: str | None) -> tuple[str, ...]:
        """The configured models, or the one that was asked for.

        Raises:
            typer.BadParameter: It is not configured.
        """
        names = tuple(model.name for model in self.settings.models)
        if wanted is None:
            return names
        if wanted not in names:
            msg = f"{self.config} has no model {wanted}{closest(wanted, names)}; it has {', '.join(names)}"
            raise typer.BadParameter(msg, param_hint="--model")
        return (wanted,)

    def one_model(self, wanted: str | None) -> str:
        """The one model a command is about.

        Raises:
            typer.BadParameter: It is not configured, or several are and none was named.
        """
        names = self.models(wanted)
        if len(names) > 1:
            msg = f"{self.config} has several models, name one of {', '.join(names)}"
            raise typer.BadParameter(msg, param_hint="--model")
        return names[0]


def open_session(config: Path) -> Session:
    """Read the configuration, and look whether a daemon is running.

    Raises:
        ConfigError: The configuration is wrong.
    """
    settings = load_settings(config, os.environ)
    return Session(config=config, settings=settings, daemon_pid=holder(settings.ledger))


def isolated_session(config: Path) -> Session:
    """Read a configuration that the program wrote itself: variables that are meant for the user's own change nothing in it."""
    return Session(config=config, settings=load_settings(config, {}))


@contextmanager
def reading(session: Session) -> Iterator[History | None]:
    """The ledger's history for as long as the context lasts; None when no daemon has made the ledger yet."""
    history = open_history(session.settings.ledger)
    try:
        yield history
    finally:
        if history is not None:
            history.close()


def now() -> datetime:
    """Now, in UTC; for the commands, as `bootstrap.clock` is for the daemon."""
    return datetime.now(UTC)


def os_user() -> str:
    """Who calls; a number where the system has no name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def file_name(uri: str) -> str:
    """The last part of a URI as people write it."""
    return unquote(uri.rpartition("/")[2])


def local(moment: datetime) -> str:
    """A moment in the time of this machine's clock, to the second."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
