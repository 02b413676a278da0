"""A version that is evaluated again after the configuration of its holdout has changed: the step itself, on a real MLflow."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.cleaning import Prepared, row_hashes
from pipelines.errors import UnusableModel
from pipelines.model import TrainingRows, train
from pipelines.model_files import save_model
from pipelines.parameters import TrainingSettings
from pipelines.registration import Lineage, mlflow_model, register
from pipelines.schema import Schema
from pipelines.steps.evaluate_model import EvaluatedFiles, PinnedChampion, evaluate_model
from pipelines.steps.evaluate_version import EvaluatedAgainFiles, Rivals, evaluate_version
from pipelines.tracking import open_run
from tests.integration.pipelines.registry import Registry
from tests.unit.pipelines.builders import a_drop, prepared

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own use of SQLAlchemy

SETTINGS = TrainingSettings(estimator="logistic_regression")
LINES = [f"c{number},h{number // 2},{number % 70},{'ABC'[number % 3]},{int(number % 4 == 0)}" for number in range(600)]
MONTH = "\n".join(["customer,household,Tenure,Contract,Churn", *LINES, ""]).encode()


def a_month(holdout_ratio: float, **settings: Any) -> Prepared:  # noqa: ANN401 - any setting
    """One month of customers, of whom a share is held out."""
    return prepared(MONTH, **{"entity_column": "customer", "holdout_ratio": holdout_ratio, **settings})


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One model's versions, each trained, evaluated and registered by the steps' own functions."""

    registry: Registry
    folder: Path

    def trained(self, run_key: str, data: Prepared) -> str:
        """The version that a run made of the rows."""
        identity = replace(self.registry.identity, run_key=run_key * 64)
        units = row_hashes(data.training, data.schema)
        rows = TrainingRows(features=data.training, labels=data.training["Churn"].to_numpy(), units=units, schema=data.schema)
        files = EvaluatedFiles(**{name: self.folder / name for name in EvaluatedFiles.__annotations__})
        save_model(train(rows, SETTINGS).model, files.candidate)
        summary = {"rows": len(data.training), "positives": int(rows.labels.sum()), "columns": {}}
        files.summary.write_text(json.dumps(summary))
        self._write(data, files)
        evaluate_model(identity, [a_drop()], settings=SETTINGS, pinned=PinnedChampion(version="", schema=None), files=files)
        lineage = Lineage(drops=(a_drop(),), training_rows=len(data.training), holdout_rows=len(data.holdout))
        with tempfile.TemporaryDirectory() as folder:
            example = {name: data.training[name].iloc[0] for name in data.schema.features}
            mlflow_model(Path(folder), model_file=files.candidate, schema=data.schema, example=example)
            return register(open_run(identity, "2025-03"), identity, lineage, Path(folder))

    def evaluated_again(self, run_key: str, version: str, *, now: Prepared, champion: PinnedChampion) -> dict[str, Any]:
        """What is written of the version of a run, with the rows that are held out now."""
        identity = replace(self.registry.identity, run_key=run_key * 64)
        files = EvaluatedAgainFiles(**{name: self.folder / name for name in EvaluatedAgainFiles.__annotations__})
        self._write(now, files)
        rivals = Rivals(candidate_version=version, champion=champion)
        evaluate_version(identity, [a_drop()], settings=SETTINGS, rivals=rivals, files=files)
        document: dict[str, Any] = json.loads(files.evaluation.read_text())
        return document

    def record(self, run_key: str, name: str) -> Path:
        """A file on the MLflow run."""
        run = open_run(replace(self.registry.identity, run_key=run_key * 64), "2025-03")
        return Path(run.artifact_uri.removeprefix("file://")) / name

    def remembered(self, run_key: str) -> Mapping[str, str]:
        """The files that say what the version of a run was trained on, and what was made of it."""
        return {name: self.record(run_key, name).read_text() for name in ("schema.json", "reference.json", "evaluation.json")}

    @staticmethod
    def _write(data: Prepared, files: EvaluatedFiles | EvaluatedAgainFiles) -> None:
        data.holdout.to_parquet(files.holdout_rows, index=False)
        files.schema.write_text(data.schema.to_json())


@pytest.fixture
def story(registry: Registry, tmp_path: Path) -> Story:
    """Nothing trained yet."""
    return Story(registry=registry, folder=tmp_path)


def pinned(version: str, schema: Schema) -> PinnedChampion:
    """A champion whose `schema.json` the daemon has read."""
    return PinnedChampion(version=version, schema=schema)


@pytest.mark.parametrize(("candidate", "champion"), [(0.3, 0.1), (0.1, 0.3), (0.5, 0.5)])
def test_both_are_judged_by_customers_that_neither_has_seen(story: Story, candidate: float, champion: float) -> None:
    """Whichever held out less than is configured now, 0.3, or neither did; what the version was trained on stays on record."""
    before, own, now = a_month(champion), a_month(candidate), a_month(0.3)
    rivals = pinned(story.trained("a", before), before.schema)
    version = story.trained("b", own)
    record = story.remembered("b")
    document = story.evaluated_again("b", version, now=now, champion=rivals)
    seen = {*before.training["customer"], *own.training["customer"]}
    assert document["holdout"]["rows"] == sum(customer not in seen for customer in now.holdout["customer"])
    assert document["champion"]["metrics"]["log_loss"] is not None
    after = story.remembered("b")
    assert (after["schema.json"], after["reference.json"]) == (record["schema.json"], record["reference.json"])
    assert after["evaluation.json"] != record["evaluation.json"]
    assert json.loads(record["schema.json"])["holdout_ratio"] == candidate


def test_schemas_of_before_the_ratio_was_recorded_are_taken_to_have_the_configured_one(story: Story) -> None:
    """As when a candidate is trained."""
    data = a_month(0.2)
    old = replace(data, schema=replace(data.schema, holdout_ratio=None))
    version = story.trained("a", old)
    document = story.evaluated_again("a", version, now=data, champion=pinned(version, old.schema))
    assert document["holdout"]["rows"] == len(data.holdout)


@pytest.mark.parametrize(
    ("then", "now", "sentence"),
    [
        (
            "customer",
            {"entity_column": "household"},
            "its rows were held out by column 'customer', now they are by column 'household'",
        ),
        ("customer", {"entity_column": ""}, "its rows were held out by column 'customer', now they are by all they say"),
        ("", {"entity_column": "", "id_columns": ("household",)}, "other ids then, which shows in 'household'"),
    ],
    ids=["another column", "no column any more", "other ids"],
)
def test_version_that_was_held_out_by_something_else_is_not_evaluated(
    story: Story, then: str, now: Mapping[str, Any], sentence: str
) -> None:
    """Eight in ten of the rows would be known to it; nothing is written, so nobody is promoted by it."""
    own = a_month(0.2, entity_column=then)
    version = story.trained("a", own)
    record = story.remembered("a")
    with pytest.raises(UnusableModel, match=f"^version {version} cannot be evaluated again: .*{sentence}.*set .* back"):
        story.evaluated_again("a", version, now=a_month(0.2, **now), champion=PinnedChampion(version="", schema=None))
    assert story.remembered("a") == record


def test_champion_that_was_held_out_by_something_else_is_not_compared_with(story: Story) -> None:
    """The evidence says why, and a champion without scores is replaced by nobody."""
    before, own = a_month(0.2, entity_column="household"), a_month(0.2)
    rivals = pinned(story.trained("a", before), before.schema)
    document = story.evaluated_again("b", story.trained("b", own), now=own, champion=rivals)
    assert document["champion"]["error"].startswith(
        "its rows were held out by column 'household', now they are by column 'customer'"
    )
    assert "metrics" not in document["champion"]


def test_version_whose_schema_is_gone_is_not_evaluated(story: Story) -> None:
    """What it was trained on cannot be told."""
    own = a_month(0.2)
    version = story.trained("a", own)
    story.record("a", "schema.json").unlink()
    with pytest.raises(UnusableModel, match=r"its MLflow run has no schema\.json"):
        story.evaluated_again("a", version, now=own, champion=PinnedChampion(version="", schema=None))
