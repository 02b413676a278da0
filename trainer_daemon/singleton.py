"""One daemon per ledger on this machine: a lock beside the ledger's file, which also says which process holds it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer_daemon.errors import PermanentError, TemporaryError

_ATTEMPTS = 10
_LOOK_AGAIN_S = 0.02
_SQLITE = "sqlite:///"


def lock_path(ledger: str) -> Path | None:
    """The lock file of a ledger, None for a ledger that is no file and takes care of its daemons itself.

    Args:
        ledger: The URL of the database, as configured.
    """
    if not ledger.startswith(_SQLITE):
        return None
    return Path(ledger.removeprefix(_SQLITE).partition("?")[0] + ".lock")


@contextmanager
def hold(ledger: str) -> Iterator[None]:
    """Be the only daemon of a ledger as long as the context lasts; a daemon that was killed holds nothing.

    Raises:
        PermanentError: Another daemon is.
        TemporaryError: The lock file cannot be written.
    """
    path = lock_path(ledger)
    if path is None:
        yield
        return
    descriptor = _open(path)
    try:
        _take(descriptor, path)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(ledger: str) -> int | None:
    """The process id of the daemon that uses a ledger now, None when there is none; 0 when it has not said its id yet."""
    path = lock_path(ledger)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else None
    except OSError:
        return None
    if descriptor is None:
        return None
    try:
        return None if _flock(descriptor, fcntl.LOCK_SH) else _pid(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        msg = f"cannot write the lock file {path}: {exc.strerror}; the daemon needs a folder it may write to"
        raise TemporaryError(msg) from exc


def _take(descriptor: int, path: Path) -> None:
    """Lock, and forget what a killed daemon wrote; somebody's `holder` lasts an instant and is not taken for a daemon."""
    for _ in range(_ATTEMPTS):
        if _flock(descriptor, fcntl.LOCK_EX):
            os.ftruncate(descriptor, 0)
            return
        time.sleep(_LOOK_AGAIN_S)
    who = f"another daemon (pid {_pid(descriptor) or 'unknown'})"
    msg = f"{who} uses the ledger {path.with_suffix('')}; stop it first, or configure another ledger"
    raise PermanentError(msg)


def _flock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.isdigit() else 0
