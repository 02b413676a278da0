"""What the steps of a pipeline import, for a process that will fork them: each library is then imported once, not once a step."""

import gc
import importlib
import re
from collections.abc import Mapping, Sequence

from pipelines.steps.boundary import bound_threads

_STEP = re.compile(r"pipelines\.steps\.\w+")
_TRACKING = ("pipelines.tracking", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store")
_WHEN_AT_WORK: Mapping[str, Sequence[str]] = {
    "pipelines.steps.evaluate_model": _TRACKING,
    "pipelines.steps.evaluate_version": _TRACKING,
    "pipelines.steps.register_model": (*_TRACKING, "mlflow.models"),
    "pipelines.steps.predict": _TRACKING,
}
"""What a step imports only when it comes to it."""


def preload(compiled: str) -> None:
    """Import what the steps that a pipeline names need.

    A module that cannot be imported ends it: the step that needs the module will say so.

    Args:
        compiled: Text of the compiled pipeline; of one that names no step of this package nothing is imported.
    """
    bound_threads()
    try:
        for step in sorted(set(_STEP.findall(compiled))):
            for name in (step, *_WHEN_AT_WORK.get(step, ())):
                importlib.import_module(name)
    except Exception:  # noqa: BLE001 - whatever a module raises, it raises once more where a person sees it
        return
    gc.collect()
    gc.freeze()  # what was imported is never garbage; looking at it would also copy the memory that the steps share
