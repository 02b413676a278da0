"""What a person sees of a running step: lines on stdout, flushed at once."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def say(text: str) -> None:
    """Print one line now, however stdout is buffered; names from a drop may hold what no line can."""
    print(plain(text), flush=True)


def plain(text: str) -> str:
    """The text with `?` for what cannot be printed: line breaks, control characters, bytes that were no UTF-8."""
    return text if text.isprintable() else "".join(character if character.isprintable() else "?" for character in text)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Announce a piece of work and say how many seconds it took; nothing is said of the end when it fails."""
    say(f"{what} …")
    started = time.perf_counter()
    yield
    say(f"{what}: {time.perf_counter() - started:.1f} s")


def peak_mib() -> int | None:
    """The most memory that this process has had, in MiB; None where the system does not say."""
    # not by getrusage, which counts what the parent had when it forked
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    except OSError:
        return None
    return int(found[1]) // 1024 if found else None
