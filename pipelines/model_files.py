"""Models as files: skops with an explicit list of trusted types, so that loading one cannot run code."""

import struct
import zlib
from pathlib import Path
from zipfile import BadZipFile

import skops.io
from sklearn.pipeline import Pipeline

from pipelines.errors import UnusableModel
from pipelines.trusted import TRUSTED_TYPES

_UNREADABLE = (
    *(OSError, EOFError, BadZipFile, zlib.error, struct.error),  # the archive is damaged
    *(ValueError, TypeError, LookupError, AttributeError, ImportError, AssertionError),  # what it describes does not fit together
    RuntimeError,  # it needs a password, is packed in an unknown way, or nested too deeply
)


def save_model(model: Pipeline, path: Path) -> None:
    """Write a model.

    Args:
        model: A fitted model.
        path: The file to write.
    """
    skops.io.dump(model, path)


def load_model(path: Path) -> Pipeline:
    """Read a model.

    Raises:
        UnusableModel: It is no skops file, is damaged, or holds types that are not trusted; they are named.
    """
    try:
        untrusted = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES))
        if untrusted:
            msg = f"{path.name} holds types that are not trusted: {', '.join(untrusted)}"
            raise UnusableModel(msg)
        model = skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except _UNREADABLE as exc:
        msg = f"{path.name} cannot be read as a skops model: {type(exc).__name__}: {exc}"
        raise UnusableModel(msg) from exc
    if not isinstance(model, Pipeline):
        msg = f"{path.name} holds a {type(model).__name__}, not a scikit-learn pipeline"
        raise UnusableModel(msg)
    return model
