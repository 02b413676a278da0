"""The compiled pipelines, executed on this machine."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.digest import pipeline_digest
from pipelines.parameters import RunIdentity
from tests.integration.pipelines.executing import Runs, python
from tests.integration.pipelines.registry import Registry
from trainer_daemon.demo_data import monthly_drop
from trainer_daemon.policy.observations import parse_evaluation

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own use of SQLAlchemy


def request(identity: RunIdentity, path: Path, period: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any parameter
    """The parameters that the daemon launches a run with."""
    checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return {
        **asdict(identity),
        "drops": [{"uri": path.as_uri(), "generation": "1", "checksum": checksum, "period": period}],
        "data": {"target": "Churn", "entity_column": "", "id_columns": [], "holdout_ratio": 0.2, "max_bytes": 1 << 30},
        "training": {"estimator": "auto", "hyperparameters": {}, "seed": 0},
        "champion_version": "",
        "champion_schema": {},
        **changes,
    }


def test_two_months_become_two_versions_and_the_second_is_compared_with_the_first(
    runs: Runs, registry: Registry, tmp_path: Path
) -> None:
    """The whole contract: parameters in, MLflow run, evaluation, schema, report and version out; executing again adds nothing."""
    march, may = tmp_path / "churn_data_2025_03.csv", tmp_path / "churn_data_2025_05.csv"
    march.write_text(monthly_drop(drift=0.0, seed=1), encoding="utf-8")
    may.write_text(monthly_drop(drift=0.5, seed=2), encoding="utf-8")

    output = runs.execute("training", request(registry.identity, march, "2025-03")).printed
    assert f"load_and_preprocess_data of {registry.identity.run_name}, attempt 1" in output
    assert "cross-validating logistic_regression, 5 folds: " in output
    evaluation, schema = json.loads(registry.artifact("evaluation.json")), json.loads(registry.artifact("schema.json"))
    assert evaluation["champion"] is None
    assert set(schema["columns"]) == {"Tenure", "MonthlyCharges", "ContractType", "SupportTickets"}
    assert registry.artifact("report.html").startswith("<!doctype html>")

    second = replace(registry.identity, run_key="b" * 64, run_name="churn-2025-05-bbbbbbbbbbbb-1", attempt=2)
    training = {"estimator": "auto", "hyperparameters": {}, "seed": 0, "slice_columns": ["contracttype"], "min_slice_rows": 20}
    parameters = request(second, may, "2025-05", champion_version="1", champion_schema=schema, training=training)
    for _ in range(2):
        runs.execute("training", parameters)
    assert [
        (version.tags["trainer.run_key"], version.tags["trainer.period"])
        for version in sorted(registry.versions(), key=lambda v: int(v.version))
    ] == [
        ("k" * 64, "2025-03"),
        ("b" * 64, "2025-05"),
    ]
    (run,) = [run for run in registry.runs() if run.data.tags["trainer.run_key"] == second.run_key]
    assert run.data.tags["trainer.attempt"] == "2"
    assert run.info.status == "FINISHED"
    evaluation = json.loads((Path(run.info.artifact_uri.removeprefix("file://")) / "evaluation.json").read_text())
    assert (evaluation["format"], evaluation["run_key"], evaluation["attempt"], evaluation["period"]) == (
        2,
        "b" * 64,
        2,
        "2025-05",
    )
    assert evaluation["champion"]["version"] == "1"
    assert evaluation["champion"]["metrics"]["log_loss"] > evaluation["candidate"]["metrics"]["log_loss"]
    assert evaluation["holdout"]["rows"] + evaluation["training"]["rows"] == 1000
    read = parse_evaluation(evaluation).evidence
    assert read.differences["log_loss"].probability_of_gain(0, higher_is_better=False) > 0.9
    assert read.drift is not None
    assert (read.drift.error, set(read.drift.columns)) == ("", set(schema["columns"]))
    assert read.drift.score is not None
    assert read.feature_auc is not None
    assert set(read.feature_auc) == set(schema["columns"])
    assert read.slices is not None
    assert {entry.column for entry in read.slices.found} == {"ContractType"}


def test_bad_drop_fails_the_pipeline_and_is_explained_in_mlflow(runs: Runs, registry: Registry, tmp_path: Path) -> None:
    """The orchestrator sees a failed step, the daemon finds one sentence; nothing is registered."""
    path = tmp_path / "churn_data_2025_03.csv"
    path.write_text("Tenure,Churn\n" + "1,0\n" * 100, encoding="utf-8")
    output = runs.execute("training", request(registry.identity, path, "2025-03"), fails=True).printed
    reason = "every row has the same label in column 'Churn' (0): there is nothing to tell apart"
    assert f"pipelines.errors.BadDrop: {reason}" in output
    assert registry.failure() == {
        "attempt": 1,
        "step": "load_and_preprocess_data",
        "kind": "bad_drop",
        "reason": reason,
        "drop": f"{path.as_uri()}#1",
    }
    assert registry.versions() == []


def test_hello_runs(runs: Runs) -> None:
    """The smallest pipeline proves a backend."""
    assert "hello, world" in runs.execute("hello", {"name": "world"}).printed


def test_digest_follows_the_code_of_every_module(tmp_path: Path) -> None:
    """A change of one byte or one name in the package is another pipeline."""
    package = tmp_path / "package"
    (package / "steps").mkdir(parents=True)
    digests = []
    for name, source in (("a.py", "x = 1\n"), ("a.py", "x = 2\n"), ("steps/b.py", "x = 1\n"), ("c.py", "")):
        (package / name).write_text(source)
        digests.append(pipeline_digest(package))
    (package / "c.py").rename(package / "d.py")
    digests.append(pipeline_digest(package))
    assert len(set(digests)) == len(digests)
    (package / "notes.txt").write_text("no code")
    assert pipeline_digest(package) == digests[-1]
    assert python("-m", "pipelines", "digest").strip() == pipeline_digest()


def test_digest_imports_nothing_heavy() -> None:
    """The daemon asks for the digest, and must stay small."""
    output = python("-c", "import sys; from pipelines.digest import pipeline_digest; pipeline_digest(); print(*sys.modules)")
    assert not {"kfp", "pandas", "numpy", "mlflow", "sklearn", "pyarrow"} & set(output.split())
