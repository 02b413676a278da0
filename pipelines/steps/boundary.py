"""What is common to all steps: a first line at once, bounded threads, and the failure written where the daemon reads it.

A step is a process of its own. Its work is imported inside `step`, so that the first line comes before heavy imports and
a failing import is reported like any other failure.
"""

import gc
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pipelines.parameters import Drop, RunIdentity, parse_drops
from pipelines.progress import peak_mib, say

Files = TypeVar("Files")
_GARBAGE_THRESHOLD = 200_000
_THREADS: Mapping[str, str] = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2"),
    # threads that wait for each other by spinning take the processor from those they wait for: on a machine that has other
    # work, boosting took 20 times as long
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Read by the libraries when they are loaded."""


@contextmanager
def step(name: str, identity: RunIdentity, drops: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Drop, ...]]:
    """Run a step's work.

    Args:
        name: Of the step.
        identity: Whose run.
        drops: The pipeline's parameter.

    Returns:
        The drops, oldest first.
    """
    say(f"{name} of {identity.run_name}, attempt {identity.attempt}")
    bound_threads()
    # importing makes hundreds of thousands of objects that live as long as the process: looking for garbage among them,
    # meanwhile and once more at exit, costs a short step a fifth of its time
    gc.set_threshold(_GARBAGE_THRESHOLD)
    started = time.perf_counter()
    with _Failures(name, identity, drops):
        yield parse_drops(drops)
    memory = peak_mib()
    say(f"{name} took {time.perf_counter() - started:.1f} s" + (f" and {memory:,} MiB" if memory else ""))
    gc.freeze()


def bound_threads() -> None:
    """Bound the threads of libraries that are not imported yet."""
    for variable, value in _THREADS.items():
        os.environ.setdefault(variable, value)


def identity_of(given: Mapping[str, Any]) -> RunIdentity:
    """Whose run a component works for.

    Args:
        given: The component's arguments by name.
    """
    return RunIdentity(**{item.name: given[item.name] for item in fields(RunIdentity)})


def files_of(kind: type[Files], given: Mapping[str, Any]) -> Files:
    """The paths of a component's artifacts.

    Args:
        kind: A dataclass of paths, named like the artifacts.
        given: The component's arguments by name.
    """
    return kind(**{name: Path(given[name].path) for name in kind.__annotations__})


class _Failures:
    """Tells MLflow of whatever ends a step, and lets it end the step."""

    def __init__(self, name: str, identity: RunIdentity, drops: Sequence[Mapping[str, Any]]) -> None:
        newest = drops[-1] if drops else {}
        self._name, self._identity = name, identity
        self._period = str(newest.get("period", ""))
        self._drop = f"{newest.get('uri', '')}#{newest.get('generation', '')}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception):
            from pipelines.tracking import report_failure

            report_failure(self._identity, step=self._name, error=error, period=self._period, drop=self._drop)
