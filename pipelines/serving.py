"""A registered version as it is served: the model, and what its signature says of the columns it takes."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.champion import fetch_model_file
from pipelines.errors import UnusableModel
from pipelines.model_files import load_model
from pipelines.schema import Kind

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A version that can predict.

    Attributes:
        columns: Kind of every column it takes, in its own order.
    """

    name: str
    version: str
    model: "Pipeline"
    columns: Mapping[str, Kind]

    @property
    def title(self) -> str:
        """How people speak of it."""
        return f"version {self.version} of {self.name}"


def fetch_served(name: str, version: str) -> Served:
    """Download a version, and load it with our own list of trusted types.

    Raises:
        UnusableModel: It is gone, was not saved with skops, holds something that is not trusted, or has no signature.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = fetch_model_file(name, version, Path(folder))
        columns = _signature(path.parent)
        if columns is None:
            msg = f"version {version} of {name} has no signature that names its columns, so no input can be checked against it"
            raise UnusableModel(msg)
        return Served(name=name, version=version, model=load_model(path), columns=columns)


def _signature(folder: Path) -> dict[str, Kind] | None:
    from mlflow.models import Model

    signature = Model.load(str(folder)).signature
    if signature is None or signature.inputs is None or not signature.inputs.has_input_names():
        return None
    kinds = {True: Kind.NUMERIC, False: Kind.TEXT}
    return {column.name: kinds[column.type.name != "string"] for column in signature.inputs}
