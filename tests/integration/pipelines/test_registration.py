"""Registering on a real MLflow: one version per run key, whatever crashed, and nothing but our own models loaded."""

import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from pipelines import tracking
from pipelines.champion import HeldOut, score_champion
from pipelines.cleaning import Prepared, row_hashes
from pipelines.errors import BadDrop, BadSettings
from pipelines.evaluation import ChampionScores
from pipelines.evidence.reference import columns_document, reference_document
from pipelines.model import TrainingRows, churn_probabilities, train
from pipelines.model_files import load_model, save_model
from pipelines.parameters import RunIdentity, TrainingSettings
from pipelines.registration import Lineage, mlflow_model, register
from pipelines.steps.boundary import step
from pipelines.tracking import FAILURE_TAG, TrackedRun, open_run
from tests.integration.pipelines.registry import Registry
from tests.unit.pipelines.builders import a_csv, a_drop, prepared

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),  # MLflow's own use of SQLAlchemy
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred"),  # MLflow's own type hints
]
LINEAGE = Lineage(drops=(a_drop("2025-02"), a_drop("2025-03")), training_rows=160, holdout_rows=40)


class Crash(Exception):  # noqa: N818 - a process that dies
    """Stands for `kill -9`: whatever was done stays done, nothing more happens."""


class CrashingClient:
    """The real client, until it has made so many calls."""

    def __init__(self, client: Any, calls: int) -> None:  # noqa: ANN401 - stands for the client
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the client has
        if self._calls == 0:
            raise Crash
        self._calls -= 1
        return getattr(self._client, name)


@pytest.fixture(scope="module")
def data() -> Prepared:
    """Two numbers, a text and a label."""
    return prepared(a_csv(300, edits={2: ",3,,1"}))


@pytest.fixture(scope="module")
def model(data: Prepared) -> Pipeline:
    """A model of them."""
    rows = TrainingRows(
        features=data.training,
        labels=data.training["Churn"].to_numpy(),
        units=row_hashes(data.training, data.schema),
        schema=data.schema,
    )
    return train(rows, TrainingSettings(estimator="hist_gradient_boosting")).model


@pytest.fixture
def model_folder(data: Prepared, model: Pipeline, tmp_path: Path) -> Path:
    """The model as MLflow stores it."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_model(model, tmp_path / "candidate")
    mlflow_model(
        folder, model_file=tmp_path / "candidate", schema=data.schema, example={"Tenure": 1.0, "Charges": None, "Contract": "A"}
    )
    return folder


def registered(registry: Registry, folder: Path, identity: RunIdentity | None = None) -> str:
    """Register as the step does."""
    identity = identity or registry.identity
    return register(open_run(identity, "2025-03"), identity, LINEAGE, folder)


def test_version_carries_what_the_daemon_and_a_person_look_for(registry: Registry, model_folder: Path) -> None:
    """Tags, lineage, alias and run are there."""
    version = registered(registry, model_folder)
    (found,) = registry.versions()
    (run,) = registry.runs()
    assert (
        found.tags.items()
        >= {
            "trainer.run_key": "k" * 64,
            "trainer.run_name": registry.identity.run_name,
            "trainer.period": "2025-03",
            "trainer.drops": json.dumps([drop.ref for drop in LINEAGE.drops]),
            "validation_status": "pending",
        }.items()
    )
    assert len(found.tags["trainer.pipeline_digest"]) == 64
    assert found.run_id == run.info.run_id
    assert str(registry.client.get_model_version_by_alias(registry.identity.model, "candidate").version) == version
    assert run.inputs is not None
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["2025-02", "2025-03"]


def test_every_crash_ends_in_one_version(registry: Registry, model_folder: Path) -> None:
    """A crash before any of MLflow's calls, then another attempt: one version, one run, the alias on it."""
    survived = 0
    for calls in count():
        identity = replace(registry.identity, run_key=f"{calls:064x}")
        run = open_run(identity, "2025-03")
        dying = TrackedRun(client=CrashingClient(run.client, calls), run_id=run.run_id, artifact_uri=run.artifact_uri)  # type: ignore[arg-type]
        try:
            register(dying, identity, LINEAGE, model_folder)
            survived = calls
        except Crash:
            pass
        version = registered(registry, model_folder, identity)
        mine = [found for found in registry.versions() if found.tags["trainer.run_key"] == identity.run_key]
        assert [str(found.version) for found in mine] == [version]
        assert str(registry.client.get_model_version_by_alias(identity.model, "candidate").version) == version
        assert load_model(registry.download(f"models:/{identity.model}/{version}") / "model.skops")
        if survived:
            break
    assert survived >= 6
    assert len(registry.runs()) == survived + 1


def test_version_can_be_used_by_anybody_with_mlflow(
    registry: Registry, data: Prepared, model: Pipeline, model_folder: Path
) -> None:
    """The registered model is a complete MLflow model, and predicts what ours does."""
    import mlflow.pyfunc
    import mlflow.sklearn

    uri = f"models:/{registry.identity.model}/{registered(registry, model_folder)}"
    rows = data.holdout[list(data.schema.features)].astype({"Contract": "str"})
    expected = churn_probabilities(model, rows)
    assert mlflow.sklearn.load_model(uri).predict_proba(rows)[:, 1] == pytest.approx(expected)
    served = mlflow.pyfunc.load_model(uri)
    assert np.asarray(served.predict(rows))[:, 1] == pytest.approx(expected)
    assert [(column.name, column.type.name) for column in served.metadata.signature.inputs] == [
        ("Tenure", "double"),
        ("Charges", "double"),
        ("Contract", "string"),
    ]
    assert served.input_example.to_dict("records") == [
        {"Tenure": 1.0, "Charges": pytest.approx(np.nan, nan_ok=True), "Contract": "A"}
    ]


def scored(registry: Registry, data: Prepared, version: str) -> ChampionScores:
    """The version as champion on the held-out rows."""
    labels = data.holdout["Churn"].to_numpy().astype("int64")
    tracking.connect(registry.identity.tracking_uri)
    held_out = HeldOut(rows=data.holdout, labels=labels, schema=data.schema)
    return score_champion(registry.identity.model, version, held_out=held_out, schema=data.schema)


def test_champion_is_scored_like_the_model_it_is(registry: Registry, data: Prepared, model: Pipeline, model_folder: Path) -> None:
    """A version that was just registered scores like the model in memory."""
    scores = scored(registry, data, registered(registry, model_folder)).scores
    assert scores is not None
    assert scores.probabilities == pytest.approx(churn_probabilities(model, data.holdout[list(data.schema.features)]))


def test_champion_sees_a_month_whose_columns_changed_as_it_knows_them(
    registry: Registry, data: Prepared, model: Pipeline, model_folder: Path
) -> None:
    """A column that is gone is missing to it, a new one unknown, numbers that are written as text are numbers."""
    rows = data.holdout
    changed = rows.drop(columns="Charges").assign(Fees=1.0, Tenure=rows["Tenure"].astype("str"))
    champion = scored(registry, replace(data, holdout=changed), registered(registry, model_folder))
    assert champion.error == ""
    assert champion.missing_columns == ("Charges",)
    assert champion.scores is not None
    known = rows[list(data.schema.features)].assign(Charges=np.nan)
    assert champion.scores.probabilities == pytest.approx(churn_probabilities(model, known))


def test_champion_is_compared_with_the_data_it_was_trained_on(registry: Registry, data: Prepared, model_folder: Path) -> None:
    """The reference lies on the version's run; the month that it was trained on has not drifted."""
    version, run = registered(registry, model_folder), open_run(registry.identity, "2025-03")
    columns = columns_document(data.training, data.schema)
    run.client.log_text(run.run_id, json.dumps(reference_document(columns, np.linspace(0, 1, 50))), "reference.json")
    drift = scored(registry, data, version).drift
    assert drift is not None
    assert (drift.error, set(drift.columns)) == ("", {"Tenure", "Charges", "Contract"})
    assert max(shift.psi for shift in drift.columns.values()) < 0.5
    assert drift.score is not None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "was registered without reference.json"),
        ("{}", "reference.json has format None, this pipeline reads 1"),
        ("no JSON", "reference.json is not JSON: Expecting value"),
    ],
)
def test_champion_without_a_readable_reference_is_scored_all_the_same(
    registry: Registry, data: Prepared, model_folder: Path, text: str | None, error: str
) -> None:
    """Whether that matters is for the policy to say."""
    version, run = registered(registry, model_folder), open_run(registry.identity, "2025-03")
    if text is not None:
        run.client.log_text(run.run_id, text, "reference.json")
    champion = scored(registry, data, version)
    assert champion.scores is not None
    assert champion.drift is not None
    assert error in champion.drift.error


def foreign_version(registry: Registry, folder: Path) -> str:
    """A version that somebody else put there."""
    run = open_run(registry.identity, "2025-03")
    run.client.log_artifacts(run.run_id, str(folder), "foreign")
    run.client.create_registered_model(registry.identity.model)
    return str(run.client.create_model_version(registry.identity.model, f"{run.artifact_uri}/foreign", run_id=run.run_id).version)


class Exploding:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return pytest.fail, ("the pickle was loaded",)


def test_pickled_champion_is_refused_and_never_loaded(registry: Registry, data: Prepared, tmp_path: Path) -> None:
    """Loading a pickle can run code, so it is reported instead."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Exploding()))
    champion = scored(registry, data, foreign_version(registry, tmp_path))
    assert champion.scores is None
    assert "it has no model.skops, only model.pkl: other formats, as pickle, are refused" in champion.error


def test_types_that_a_champion_wants_trusted_are_not(registry: Registry, data: Prepared, tmp_path: Path) -> None:
    """Only our own list counts; the types are named."""
    skops.io.dump(Pipeline([("call", FunctionTransformer(func=np.testing.assert_equal))]), tmp_path / "model.skops")
    champion = scored(registry, data, foreign_version(registry, tmp_path))
    assert champion.scores is None
    assert "holds types that are not trusted: " in champion.error
    assert "assert_equal" in champion.error


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18])
def test_damaged_champion_is_reported(registry: Registry, data: Prepared, tmp_path: Path, content: bytes) -> None:
    """A model file that cannot be read is the champion's error, not the run's."""
    (tmp_path / "model.skops").write_bytes(content)
    champion = scored(registry, data, foreign_version(registry, tmp_path))
    assert "model.skops cannot be read as a skops model" in champion.error


def test_champion_that_is_gone_is_reported(registry: Registry, data: Prepared) -> None:
    """A version that was deleted is the champion's error."""
    assert "it is gone" in scored(registry, data, "999").error


def test_run_of_a_key_is_found_again(registry: Registry) -> None:
    """Another attempt uses the same MLflow run, and says which attempt it is."""
    first = open_run(registry.identity, "2025-03")
    again = open_run(replace(registry.identity, attempt=2, run_name="churn-2"), "2025-03")
    (run,) = registry.runs()
    assert first.run_id == again.run_id == run.info.run_id
    assert (run.data.tags["trainer.attempt"], run.data.tags["trainer.run_name"]) == ("2", "churn-2")


def test_results_written_twice_are_there_once(registry: Registry) -> None:
    """The second attempt's figures and files replace the first one's; undefined metrics are left out."""
    run = open_run(registry.identity, "2025-03")
    for value in (0.5, 0.25):
        tracking.record_results(
            run, params={"seed": 0}, metrics={"log_loss": value, "f1": None}, artifacts={"evaluation.json": str(value)}
        )
    assert registry.runs()[0].data.metrics == {"log_loss": 0.25}
    assert registry.artifact("evaluation.json") == "0.25"


def test_failed_step_says_why_and_still_fails(registry: Registry) -> None:
    """The daemon finds the reason in MLflow, the orchestrator sees the failure; success later on forgets it."""
    drop = {"uri": "file:///d.csv", "generation": "7", "checksum": "sha256:0", "period": "2025-03"}
    with pytest.raises(BadDrop, match="the file is empty"), step("load_and_preprocess_data", registry.identity, [drop]):
        raise BadDrop("the file is empty")  # noqa: EM101, TRY003 - the sentence is what is tested
    assert registry.failure() == {
        "attempt": 1,
        "step": "load_and_preprocess_data",
        "kind": "bad_drop",
        "reason": "the file is empty",
        "drop": "file:///d.csv#7",
    }
    assert registry.runs()[0].info.status == "FAILED"
    tracking.finish(open_run(registry.identity, "2025-03"))
    (run,) = registry.runs()
    assert FAILURE_TAG not in run.data.tags
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("tracking_uri", ["sqlite:////dev/null/mlflow.db", "http://127.0.0.1:9", "gopher://x"])
def test_failing_mlflow_does_not_hide_the_error(
    registry: Registry, tracking_uri: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When even the failure cannot be recorded, the step fails with its own error."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    identity = replace(registry.identity, tracking_uri=tracking_uri)
    with (
        pytest.raises(ZeroDivisionError),
        step("train_model", identity, [{"uri": "", "generation": "", "checksum": "", "period": ""}]),
    ):
        raise ZeroDivisionError
    output = capsys.readouterr().out
    assert "train_model failed (error): ZeroDivisionError" in output
    assert "the failure could not be recorded in MLflow" in output


def test_deleted_experiment_is_named_with_the_way_out(registry: Registry) -> None:
    """An experiment in MLflow's trash is not silently replaced."""
    identity = replace(registry.identity, experiment=f"gone-{registry.identity.model}")
    run = open_run(identity, "2025-03")
    run.client.delete_experiment(run.client.get_run(run.run_id).info.experiment_id)
    with pytest.raises(BadSettings, match="was deleted: restore it with `mlflow experiments restore -x"):
        open_run(identity, "2025-03")


@pytest.fixture(autouse=True)
def tracking_uri_stays_here() -> Iterator[None]:
    """The client sets MLflow's global address; other tests do not expect one."""
    import mlflow

    yield
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # MLflow's way to unset it
    mlflow.set_registry_uri(None)  # type: ignore[arg-type]  # the same
