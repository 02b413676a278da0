"""What the steps of a pipeline import, for a process that will fork them: each library is then imported once, not once a step."""

import gc
import importlib
from collections.abc import Iterator, Mapping, Sequence

from pipelines.steps.boundary import bound_threads

_LOADING = ("pipelines.steps.load_and_preprocess_data",)
_SCORING = ("pipelines.steps.evaluate_model", "pipelines.tracking", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store")
_MODULES: Mapping[str, Sequence[str]] = {
    "training": (*_LOADING, "pipelines.steps.train_model", *_SCORING, "pipelines.steps.register_model", "mlflow.models"),
    "evaluation": (*_LOADING, *_SCORING, "pipelines.steps.evaluate_version"),
}
"""By pipeline, in the order in which its steps need them; a pipeline of one step gains nothing."""


def preload(pipeline: str) -> Iterator[str]:
    """Import module after module; between two the caller may do something else.

    A module that cannot be imported ends it: the step that needs the module will say so.

    Args:
        pipeline: Name of the pipeline; of one that is not known nothing is imported.

    Returns:
        The names of the modules, each after its import.
    """
    bound_threads()
    for name in _MODULES.get(pipeline, ()):
        try:
            importlib.import_module(name)
        except ImportError:
            return
        yield name
    gc.collect()
    gc.freeze()  # what was imported is never garbage; looking at it would also copy the memory that the steps share
