"""What the steps of a pipeline import, for a process that will fork them: each library is then imported once, not once a step."""

import gc
import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from pipelines.steps.boundary import bound_threads

_STEP = re.compile(r"pipelines\.steps\.\w+")
_TRACKING = ("pipelines.tracking", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store")
_WHEN_AT_WORK: Mapping[str, Sequence[str]] = {
    "pipelines.steps.load_and_preprocess_data": (),
    "pipelines.steps.train_model": (),
    "pipelines.steps.evaluate_model": _TRACKING,
    "pipelines.steps.evaluate_version": _TRACKING,
    "pipelines.steps.register_model": (*_TRACKING, "mlflow.models"),
    "pipelines.steps.predict": _TRACKING,
}
"""The steps, in the order in which they follow one another, and what each imports only when it comes to it."""


def preload(compiled: str) -> Iterator[None]:
    """Import what the steps that a pipeline names need, step after step; between two the caller may do something else.

    A module that cannot be imported ends it: the step that needs the module will say so.

    Args:
        compiled: Text of the compiled pipeline; of one that names no step of this package nothing is imported.
    """
    before = len(sys.modules)
    bound_threads()
    named = set(_STEP.findall(compiled))
    try:
        for step, further in _WHEN_AT_WORK.items():
            if step in named:
                _import(step, *further)
                yield
    except Exception:  # noqa: BLE001 - whatever a module raises, it raises once more where a person sees it
        return
    if len(sys.modules) > before:
        gc.collect()
        gc.freeze()  # what was imported is never garbage; looking at it would also copy the memory that the steps share


def _import(*names: str) -> None:
    gc.disable()  # while modules are made, there is nothing to collect, and looking takes a tenth of the time
    try:
        for name in names:
            importlib.import_module(name)
    finally:
        gc.enable()
