"""Batch predictions: the compiled pipeline on this machine, and its step on real files."""

import gzip
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from pipelines.errors import BadDrop, DropChanged, UnusableModel
from pipelines.model import churn_probabilities
from pipelines.parameters import DataSettings, Drop, RunIdentity
from pipelines.steps.predict import PREDICTIONS_TAG, PredictedFiles, Wanted, predict
from tests.integration.pipelines.executing import Runs
from tests.integration.pipelines.registry import Registry
from tests.integration.pipelines.versions import FEATURES, a_version
from tests.unit.pipelines.builders import a_csv, a_tar

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own use of SQLAlchemy
ROWS = 200


@pytest.fixture
def served(registry: Registry) -> tuple[str, Pipeline]:
    """A registered version and its model."""
    return a_version(registry, a_csv(300))


def predicting(registry: Registry, key: str = "p") -> RunIdentity:
    """Whose predictions."""
    model = registry.identity.model
    return replace(
        registry.identity, run_key=key * 64, run_name=f"{model}-predict-{key * 12}-1", experiment=f"{model}-predictions"
    )


def stored(folder: Path, name: str, content: bytes) -> Drop:
    """A data set on disk."""
    path = folder / name
    path.write_bytes(content)
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Drop(uri=path.as_uri(), generation="1", checksum=checksum, period="")


def request(identity: RunIdentity, drop: Drop, version: str, out: Path) -> dict[str, Any]:
    """The parameters that `predict` launches a run with."""
    data = {"entity_column": "", "id_columns": [], "max_bytes": 1 << 30}
    return {**asdict(identity), "drops": [asdict(drop)], "data": data, "version": version, "out": out.as_uri()}


def read(path: Path) -> pd.DataFrame:
    """Written predictions."""
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize(
    ("name", "content", "suffix"),
    [
        ("customers.csv", a_csv(ROWS), ".parquet"),
        ("customers.csv.gz", gzip.compress(a_csv(ROWS), mtime=0), ".csv"),
        ("customers.tar.gz", a_tar({"1.csv": a_csv(ROWS)}), ".parquet"),
    ],
    ids=["csv", "gzip", "tar"],
)
def test_pipeline_predicts_every_row_once_and_again_the_same(
    runs: Runs, registry: Registry, served: tuple[str, Pipeline], tmp_path: Path, name: str, content: bytes, suffix: str
) -> None:
    """As the model itself does; executed again, it writes the same bytes."""
    version, model = served
    out, identity = tmp_path / "new folder" / f"scores{suffix}", predicting(registry)
    parameters = request(identity, stored(tmp_path, name, content), version, out)
    ran = [runs.execute("inference", parameters)]
    frame, first = read(out), out.read_bytes()
    rows = pd.DataFrame(
        [(float(n % 60), 20 + n % 83 + 0.5, "ABC"[n % 3]) for n in range(1, ROWS + 1)], columns=pd.Index(FEATURES)
    )
    assert frame["probability"].to_numpy() == pytest.approx(churn_probabilities(model, rows), abs=1e-9)
    assert frame["row"].tolist() == list(range(1, ROWS + 1))
    assert (set(frame["model_version"].astype(str)), set(frame["run_key"])) == ({version}, {identity.run_key})
    ran.append(runs.execute("inference", parameters))
    assert out.read_bytes() == first
    assert [path.name for path in out.parent.iterdir()] == [out.name]

    (run,) = Registry(identity=identity).runs()
    receipt = json.loads(run.data.tags[PREDICTIONS_TAG])
    assert (receipt["uri"], receipt["rows"], receipt["run"]) == (out.as_uri(), ROWS, identity.run_name)
    assert receipt["checksum"] == f"sha256:{hashlib.sha256(first).hexdigest()}"
    assert run.info.status == "FINISHED"
    assert [item.name for item in registry.client.search_registered_models(f"name = '{registry.identity.model}'")]
    assert [len(list(each.artifacts.rglob("report"))) for each in ran] == [1, 1]


def test_columns_that_do_not_fit_are_named_and_nothing_is_written(
    runs: Runs, registry: Registry, served: tuple[str, Pipeline], tmp_path: Path
) -> None:
    """The failure on MLflow is one of the data, which is not tried again."""
    version, _ = served
    drop = stored(tmp_path, "customers.csv", a_csv(ROWS, header="Tenure,Price,Contract,Churn"))
    out, identity = tmp_path / "out" / "scores.parquet", predicting(registry)
    runs.execute("inference", request(identity, drop, version, out), fails=True)
    failure = Registry(identity=identity).failure()
    assert (failure["kind"], failure["step"], failure["attempt"]) == ("bad_drop", "predict", 1)
    assert failure["reason"].startswith(f"the columns do not fit version 1 of {identity.model}: 'Charges' missing; ")
    assert not out.exists()


def the_step(registry: Registry, drop: Drop, version: str, out: Path) -> None:
    """The step without KFP."""
    wanted = Wanted(drop=drop, version=version, out=out.as_uri())
    predict(predicting(registry), wanted, settings=DataSettings(), files=PredictedFiles(report=out.parent / "report.html"))


@pytest.mark.parametrize(
    ("content", "checksum", "error"),
    [
        (gzip.compress(a_csv(50_000))[:-20], "", BadDrop),
        (a_csv(50_000, edits={50_000: "x,1.5,A,0"}), "", BadDrop),
        (a_csv(50_000), "sha256:other", DropChanged),
    ],
    ids=["cut off", "text in the last row", "other bytes"],
)
def test_fault_at_the_end_leaves_what_was_there(
    registry: Registry, served: tuple[str, Pipeline], tmp_path: Path, content: bytes, checksum: str, error: type[Exception]
) -> None:
    """Predictions appear whole or not at all, and nothing half done stays beside them."""
    drop = stored(tmp_path, "customers.csv.gz", content)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "scores.csv").write_text("of yesterday")
    with pytest.raises(error):
        the_step(registry, replace(drop, checksum=checksum or drop.checksum), served[0], folder / "scores.csv")
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("scores.csv", "of yesterday")]


def test_what_a_killed_run_left_is_overwritten(registry: Registry, served: tuple[str, Pipeline], tmp_path: Path) -> None:
    """A run that is repeated uses the same name beside the predictions."""
    drop = stored(tmp_path, "customers.csv", a_csv(ROWS))
    (tmp_path / f".scores.csv.{'p' * 12}.partial").write_text("half a fi")
    the_step(registry, drop, served[0], tmp_path / "scores.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"customers.csv", "report.html", "scores.csv"}
    assert len(read(tmp_path / "scores.csv")) == ROWS


def test_version_that_is_gone_is_told_of(registry: Registry, served: tuple[str, Pipeline], tmp_path: Path) -> None:
    """It existed when the run was launched."""
    del served
    drop = stored(tmp_path, "customers.csv", a_csv(ROWS))
    with pytest.raises(UnusableModel, match="it is gone: "):
        the_step(registry, drop, "9", tmp_path / "scores.csv")
