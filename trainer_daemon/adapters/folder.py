"""A folder as the bucket: lists the drops in it, and wakes the daemon when something changes. Decides nothing about them.

A file that is still being written is not a drop. The kernel knows: a read lease is granted only while nobody has the file open
for writing. Where it cannot be asked (NFS, macOS, another user's file) a file is complete once it has not changed for a while.
"""

import errno
import fcntl
import hashlib
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from watchfiles import watch

from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.events import NO_MONTH, DatasetVersion, is_misnamed_data, looks_like_drop, other_name, parse_period
from trainer_daemon.ports import Found, Ignored, Incomplete, Known, Listed

_QUIET_S = 10.0
_PAGE = 500
_NO_LEASES = frozenset({errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})


class Folder:
    """The drops directly in a folder.

    Args:
        root: The folder.
        template: The drops' names, `churn_data_{period}.csv`.
        has_writer: Whether somebody has the file of a descriptor open for writing, None when that cannot be known.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        root: Path,
        template: str,
        *,
        has_writer: Callable[[int], bool | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - without following links: the URI is the one that was configured
        self._template = template
        self._has_writer = has_writer or has_writer_by_lease
        self._clock = clock
        self._quiet_since: dict[str, tuple[str, float]] = {}

    def list_drops(self, known: Known) -> Iterator[Sequence[Listed]]:
        """See `Bucket`; by name. The content is read only of files whose signature is not on record.

        Raises:
            TemporaryError: The folder cannot be listed.
        """
        try:
            names = sorted(os.listdir(self._root))  # noqa: PTH208 - names are enough
        except OSError as exc:
            msg = f"cannot list the drops in {self._root}: {exc.strerror}; create the folder or correct `bucket`"
            raise TemporaryError(msg) from exc
        self._quiet_since = {name: self._quiet_since[name] for name in names if name in self._quiet_since}
        for start in range(0, len(names), _PAGE):
            yield list(self._page(names[start : start + _PAGE], known))

    def _page(self, names: Sequence[str], known: Known) -> Iterator[Listed]:
        periods = {name: period for name in names if (period := parse_period(name, self._template)) is not None}
        signatures = known([(self._root / name).as_uri() for name in periods]) if periods else {}
        for name in names:
            if name in periods:
                yield from self._look_at(name, periods[name], signatures)
            elif looks_like_drop(name, self._template):
                yield Ignored(name=_printable(name), reason=NO_MONTH)
            elif is_misnamed_data(name):
                yield Ignored(name=_printable(name), reason=other_name(self._template), is_foreign=True)

    def _look_at(self, name: str, period: str, signatures: Mapping[str, str]) -> Iterator[Listed]:
        path = self._root / name
        try:
            seen = path.stat()
            if (reason := self._unfit(path, seen)) is not None:
                yield Ignored(name=_printable(name), reason=reason)
            elif signatures.get(path.as_uri()) != _signature(seen):
                yield self._read(path, period)
        except FileNotFoundError:
            if path.is_symlink():
                yield Ignored(name=_printable(name), reason="it is a link to a file that does not exist")
        except OSError as exc:
            yield Ignored(name=_printable(name), reason=f"it cannot be read: {exc.strerror}")

    def _unfit(self, path: Path, seen: os.stat_result) -> str | None:
        """Why it is no drop at all: reading a pipe would block, and a link may lead to what was never meant to be data."""
        if stat.S_ISDIR(seen.st_mode):
            return "it is a folder"
        if not stat.S_ISREG(seen.st_mode):
            return "it is not a regular file"
        if path.is_symlink() and not path.resolve().is_relative_to(self._root.resolve()):
            return f"it is a link out of the folder, to {_printable(str(path.resolve()))}"
        return None

    def _read(self, path: Path, period: str) -> Found | Incomplete:
        """Hash the file; complete is what nobody writes to before or after and what did not change in between."""
        incomplete = Incomplete(name=_printable(path.name))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            before = os.fstat(descriptor)
            if not self._is_settled(path, descriptor, before):
                return incomplete
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            after = os.fstat(descriptor)
            if _signature(before) != _signature(after) or self._has_writer(descriptor):
                return incomplete
        self._quiet_since.pop(path.name, None)
        drop = _version(path, after, digest, period=period)
        return Found(drop=drop, signature=_signature(after), modified_at=_modified_at(after))

    def _is_settled(self, path: Path, descriptor: int, seen: os.stat_result) -> bool:
        """Whether nobody writes to it any more."""
        written = self._has_writer(descriptor)
        if written is not None:
            return not written
        now, signature = self._clock(), _signature(seen)
        before, since = self._quiet_since.get(path.name, ("", now))
        if before != signature:
            self._quiet_since[path.name] = (signature, now)
            return False
        return now - since >= _QUIET_S


def find_file(path: Path) -> DatasetVersion | None:
    """A file as it is now, whatever its name, without a period; None when there is none.

    Args:
        path: Absolute.

    Raises:
        TemporaryError: It cannot be read, or changed meanwhile.
    """
    try:
        with path.open("rb", buffering=0) as stream:
            before = os.fstat(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            after = os.fstat(stream.fileno())
    except FileNotFoundError:
        return None
    except OSError as exc:
        msg = f"cannot read {path}: {exc.strerror}"
        raise TemporaryError(msg) from exc
    if _signature(before) != _signature(after):
        msg = f"{path} changed while it was read: repeat when it is complete"
        raise TemporaryError(msg)
    return _version(path, after, digest, period="")


def _version(path: Path, seen: os.stat_result, digest: str, *, period: str) -> DatasetVersion:
    return DatasetVersion(
        uri=path.as_uri(),
        generation=f"{seen.st_ctime_ns}-{digest[:8]}",  # not mtime: a restored copy has its old one
        checksum=f"sha256:{digest}",
        period=period,
        size_bytes=seen.st_size,
    )


def has_writer_by_lease(descriptor: int) -> bool | None:
    """Ask the kernel whether somebody has the file open for writing (fcntl(2), F_SETLEASE).

    Args:
        descriptor: The file, open for reading only.

    Returns:
        None when this system or file system cannot tell.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        _take_lease(descriptor)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError as exc:
        if exc.errno in _NO_LEASES:
            return None
        raise
    return False


def _take_lease(descriptor: int) -> None:
    """Take a read lease; a writer that opens the file while it is held is announced, by default by SIGIO, which ends us."""
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # ignored by default; forgotten when the lease is given back
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)


class FolderWatch:
    """Calls back, on a thread of its own, soon after anything changed in a folder. It only wakes: what there is, a listing finds.

    Args:
        root: The folder; may not exist yet, may be removed and made again.
        on_change: Called after a change, and whenever the watch had to start again.
        on_trouble: Called with one sentence when the folder cannot be watched, once until it can again.
        look_s: How often a missing or replaced folder is looked for.
        step_ms: How often the system's notifications are collected: latency against idle CPU.
    """

    def __init__(
        self,
        root: Path,
        on_change: Callable[[], None],
        *,
        on_trouble: Callable[[str], None] = lambda _: None,
        look_s: float = 1.0,
        step_ms: int = 40,
    ) -> None:
        self._root = root
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._look_s = look_s
        self._step_ms = step_ms
        self._stop = threading.Event()
        self._told = False
        self._thread = threading.Thread(target=self._run, name=f"watch-{root.name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs; false after `close`, and after a bug in a callback."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self._stop.set()
        with suppress(RuntimeError):  # it was never started
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        for _ in self._wakes():
            self._on_change()

    def _wakes(self) -> Iterator[None]:
        """One for each change, for ever; a generator, so that what a callback raises is not taken for trouble of the watch."""
        while not self._stop.is_set():
            try:
                yield from self._watch(_identity(self._root))
            except (OSError, RuntimeError) as exc:  # watchfiles tells its own troubles by RuntimeError
                self._tell(exc)
                self._stop.wait(self._look_s)

    def _watch(self, watched: tuple[int, int]) -> Iterator[None]:
        """One for each change, until the folder is no longer the one that is watched."""
        changes = watch(
            self._root,
            watch_filter=None,
            debounce=self._step_ms,
            step=self._step_ms,
            stop_event=self._stop,
            rust_timeout=int(self._look_s * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
        )
        is_first = True  # what changed before the watch stood is not among the changes
        for changed in changes:
            self._told = False
            if changed or is_first:
                yield
            is_first = False
            if _identity(self._root) != watched:
                return

    def _tell(self, exc: Exception) -> None:
        if not self._told:
            self._told = True
            self._on_trouble(f"the folder {self._root} cannot be watched, changes are found by the next listing: {exc}")


def _identity(folder: Path) -> tuple[int, int]:
    seen = folder.stat()
    if not stat.S_ISDIR(seen.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(folder))
    return seen.st_dev, seen.st_ino


def _signature(seen: os.stat_result) -> str:
    return f"{seen.st_ino}-{seen.st_mtime_ns}-{seen.st_ctime_ns}-{seen.st_size}"


def _modified_at(seen: os.stat_result) -> datetime:
    return datetime.fromtimestamp(seen.st_mtime, UTC)


def _printable(name: str) -> str:
    """A name that can be logged and stored, whatever bytes it is made of."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8").replace("\n", "\\n")
