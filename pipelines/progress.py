"""What a person sees of a running step: lines on stdout, flushed at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one line now, however stdout is buffered."""
    print(text, flush=True)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Announce a piece of work and say how many seconds it took; nothing is said of the end when it fails."""
    say(f"{what} …")
    started = time.perf_counter()
    yield
    say(f"{what}: {time.perf_counter() - started:.1f} s")
