"""One model version per run key, whatever crashed before.

    upload files ─▶ create version (with its tags) ─▶ alias `candidate`

MLflow's create is not idempotent, so the version is searched by its run key first. Its tags are written in the same
transaction as the version: a crash before leaves no version, and files that the next attempt overwrites; a crash after
leaves a version that the next attempt finds. The alias comes last and setting it again changes nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.digest import pipeline_digest
from pipelines.parameters import Drop, RunIdentity
from pipelines.progress import say
from pipelines.schema import Kind, Schema
from pipelines.tracking import RUN_KEY_TAG, TrackedRun

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CANDIDATE_ALIAS = "candidate"
MODEL_FOLDER = "model"
_TAG_CHARACTERS_MAX = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What a version was made of.

    Attributes:
        drops: Oldest first.
        holdout_rows: Rows it was judged on.
    """

    drops: Sequence[Drop]
    training_rows: int
    holdout_rows: int


def register(run: TrackedRun, identity: RunIdentity, lineage: Lineage, model_folder: Path) -> str:
    """Register the model of this run, once.

    Args:
        run: The MLflow run that keeps the files.
        identity: Whose version.
        lineage: What it was made of.
        model_folder: An MLflow model, see `mlflow_model`.

    Returns:
        The version.
    """
    version = find_version(run.client, identity)
    if version is None:
        _log_lineage(run, lineage)
        run.client.log_artifacts(run.run_id, str(model_folder), MODEL_FOLDER)
        _require_model(run.client, identity.model)
        version = _create(run, identity, lineage)
        say(f"registered version {version} of {identity.model}")
    else:
        say(f"version {version} of {identity.model} was registered by an earlier attempt")
    run.client.set_registered_model_alias(identity.model, CANDIDATE_ALIAS, version)
    return version


def find_version(client: "MlflowClient", identity: RunIdentity) -> str | None:
    """The version that this run key has already; the oldest one, should there be several."""
    found = client.search_model_versions(f"name = '{identity.model}' and tags.`{RUN_KEY_TAG}` = '{identity.run_key}'")
    return min((str(version.version) for version in found), key=int, default=None)


def drops_tag(drops: Sequence[Drop]) -> str:
    """JSON list of `uri#generation`, newest drops kept when the tag would be too long."""
    refs = [drop.ref for drop in drops]
    while len(refs) > 1 and len(json.dumps(refs)) > _TAG_CHARACTERS_MAX:
        refs = refs[1:]
    return json.dumps([ref[-_TAG_CHARACTERS_MAX // 2 :] for ref in refs] if len(refs) == 1 else refs)


def mlflow_model(folder: Path, *, model_file: Path, schema: Schema, example: Mapping[str, Any]) -> None:
    """Lay out an MLflow model around a skops file, without loading it.

    `mlflow.sklearn` would load the model, run it and infer its requirements, which takes longer than training it.

    Args:
        folder: Where; must exist.
        model_file: The skops file.
        schema: The features become the signature.
        example: One row's value per feature, None where it is missing.
    """
    import platform
    import shutil
    from importlib.metadata import version

    from mlflow.models import Model

    from pipelines.trusted import MODEL_FILE, TRUSTED_TYPES

    shutil.copyfile(model_file, folder / MODEL_FILE)
    requirements = [f"{name}=={version(name)}" for name in ("scikit-learn", "skops", "numpy", "pandas")]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    names = list(schema.features)
    split = {"columns": names, "data": [[example[name] for name in names]]}
    (folder / "input_example.json").write_text(json.dumps(split), encoding="utf-8")
    model = Model(signature=_signature(schema), saved_input_example_info=_EXAMPLE)
    model.add_flavor(
        "python_function",
        loader_module="mlflow.sklearn",
        python_version=platform.python_version(),
        model_path=MODEL_FILE,
        predict_fn="predict_proba",
    )
    model.add_flavor(
        "sklearn",
        pickled_model=MODEL_FILE,
        sklearn_version=version("scikit-learn"),
        serialization_format="skops",
        code=None,
        skops_trusted_types=list(TRUSTED_TYPES),
    )
    model.save(str(folder / "MLmodel"))


_EXAMPLE = {"artifact_path": "input_example.json", "type": "dataframe", "pandas_orient": "split"}


def _signature(schema: Schema) -> Any:  # noqa: ANN401 - mlflow is imported late
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, TensorSpec
    from mlflow.types import Schema as MlflowSchema

    types = {Kind.NUMERIC: DataType.double, Kind.TEXT: DataType.string}
    inputs = MlflowSchema([ColSpec(types[schema.columns[name]], name, required=False) for name in schema.features])
    outputs = MlflowSchema([TensorSpec(np.dtype("float64"), (-1, 2))])
    return ModelSignature(inputs=inputs, outputs=outputs)


def _require_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as exc:
        if exc.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _create(run: TrackedRun, identity: RunIdentity, lineage: Lineage) -> str:
    tags = {
        RUN_KEY_TAG: identity.run_key,
        "trainer.run_name": identity.run_name,
        "trainer.period": lineage.drops[-1].period,
        "trainer.drops": drops_tag(lineage.drops),
        "trainer.pipeline_digest": pipeline_digest(),
        "validation_status": "pending",
    }
    source = f"{run.artifact_uri.rstrip('/')}/{MODEL_FOLDER}"
    created = run.client.create_model_version(identity.model, source, run_id=run.run_id, tags=tags)
    return str(created.version)


def _log_lineage(run: TrackedRun, lineage: Lineage) -> None:
    """Name the drops as the run's input data sets; the same one is stored once."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for drop in lineage.drops:
        source = json.dumps({"uri": drop.uri, "generation": drop.generation, "checksum": drop.checksum})
        dataset = Dataset(
            name=drop.period, digest=drop.checksum.partition(":")[2][:32], source_type="trainer_drop", source=source
        )
        context = "training, evaluation" if drop is lineage.drops[-1] else "training"
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    rows = {"training_rows": lineage.training_rows, "holdout_rows": lineage.holdout_rows}
    for name, value in rows.items():
        run.client.set_tag(run.run_id, f"trainer.{name}", str(value))
    run.client.log_inputs(run.run_id, inputs)
