"""Real customers in monthly drops: the pipeline's own steps, MLflow, ledger, rules and reconciler, without KFP and processes.

Fourteen runs of `kfp.local` would take minutes and show nothing else; other tests run the same steps there.
"""

import csv
import fcntl
import os
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from pipelines.parameters import RunIdentity, parse_data, parse_drops, parse_training
from pipelines.schema import parse_schema
from pipelines.steps.evaluate_model import EvaluatedFiles, PinnedChampion, evaluate_model
from pipelines.steps.load_and_preprocess_data import LoadedFiles, load_and_preprocess_data
from pipelines.steps.register_model import RegisteredFiles, register_model
from pipelines.steps.train_model import TrainedFiles, train_model
from tests.builders import a_drop_event
from tests.fakes import FakeOrchestrator
from trainer_daemon.adapters.folder import find_file
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.adapters.registry.operations import Operations, translated
from trainer_daemon.config import load_settings
from trainer_daemon.model_parts import model_policy, training_parameters
from trainer_daemon.observer import Slots
from trainer_daemon.policy.actions import Wait
from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.observations import Phase
from trainer_daemon.ports import RunRequest, Submission
from trainer_daemon.reconciler import Model, Reconciler

SHUFFLED, LEAKED = "2026-01", "2026-02"
MONTHS = (*(f"2025-{month:02}" for month in range(1, 13)), SHUFFLED, LEAKED)
CONFIGURATION = """\
ledger = "sqlite:///ledger.db"
[mlflow]
tracking_uri = "sqlite:///mlflow.db"
[[models]]
name = "churn"
bucket = "drops"
[models.training]
estimator = "logistic_regression"
[models.promotion]
"""
OWN_RULES = "confidence = 0.9\n"


@dataclass
class Steps(FakeOrchestrator):
    """Executes pipeline `training` at once, by the functions that its components call."""

    folder: Path = field(default_factory=Path)

    def submit(self, request: RunRequest) -> Submission:
        """Start a run, and end it."""
        submission = super().submit(request)
        if not submission.is_adopted:
            _train(request, self.folder / request.name)
            self.phases[request.name] = Phase.SUCCEEDED
        return submission


class _Here:
    """MLflow in this process, which has imported it for the steps anyway, instead of in a child."""

    def __init__(self, tracking_uri: str) -> None:
        self._operations = Operations(tracking_uri)

    def call(self, operation: str, **arguments: object) -> Any:  # noqa: ANN401 - as the operation says
        """As the child answers."""
        with translated(operation):
            return getattr(self._operations, operation)(**arguments)


def _train(request: RunRequest, folder: Path) -> None:
    """The four steps of pipeline `training`, in its order."""
    folder.mkdir(parents=True)
    given = request.parameters
    identity = RunIdentity(**{name: given[name] for name in RunIdentity.__slots__})
    drops, training, champion = (
        parse_drops(given["drops"]),
        parse_training(given["training"]),
        parse_schema(given["champion_schema"]),
    )
    files = {
        name: folder / name
        for name in ("training_rows", "holdout_rows", "schema", "candidate", "summary", "evaluation", "report")
    }

    def of(kind: type) -> dict[str, Path]:
        return {name: files[name] for name in kind.__annotations__}

    load_and_preprocess_data(drops, parse_data(given["data"]), champion=champion, files=LoadedFiles(**of(LoadedFiles)))
    train_model(training, TrainedFiles(**of(TrainedFiles)))
    pinned = PinnedChampion(version=given["champion_version"], schema=champion)
    evaluate_model(identity, drops, settings=training, pinned=pinned, files=EvaluatedFiles(**of(EvaluatedFiles)))
    register_model(identity, drops, RegisteredFiles(**of(RegisteredFiles)))


def the_year(base: Path, telco: Path) -> Path:
    """The folder with configuration, ledger and MLflow after fourteen months; whoever asks first has them judged, others wait.

    Twelve months are one population. In the thirteenth the labels are shuffled, in the fourteenth column `Partner` holds them.

    Args:
        base: Temporary folder of this process's tests.
        telco: The customers.
    """
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "year.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = shared / "year"
        if not (folder / "finished").exists():
            _judge(folder, telco)
            (folder / "finished").touch()
    return folder


def _judge(folder: Path, telco: Path) -> None:
    (folder / "drops").mkdir(parents=True)
    config = folder / "trainer.toml"
    config.write_text(CONFIGURATION + OWN_RULES)
    settings = load_settings(config, {})
    (model,) = settings.models
    where = {
        "tracking_uri": settings.mlflow.tracking_uri,
        "experiment": "churn",
        "artifact_location": (folder / "artifacts").as_uri(),
    }
    registry = MlflowRegistry(settings.mlflow, log=structlog.get_logger())
    registry._worker = _Here(settings.mlflow.tracking_uri)  # type: ignore[assignment]  # all that is asked of it is `call`
    with Ledger(settings.ledger) as ledger:
        ledger.record([a_drop_event(drop) for drop in _drops(folder / "drops", telco)], datetime.now(UTC))
        reconciler = Reconciler(
            model=Model(
                policy=model_policy(model, "digest"),
                parameters={**training_parameters(model), **where},
                pipeline="training",
                run_timeout_s=60,
            ),
            ledger=ledger,
            orchestrator=Steps(folder=folder / "runs"),
            registry=registry,
            slots=Slots(ledger, 1, ["churn"]),
            clock=lambda: datetime.now(UTC),
            log=structlog.get_logger(),
        )
        while reconciler.step() != Wait():
            pass


def _drops(folder: Path, telco: Path) -> list[DatasetVersion]:
    with telco.open(newline="") as file:
        header, *rows = csv.reader(file)
    drops = []
    for number, period in enumerate(MONTHS):
        month = [dict(zip(header, row, strict=True)) for row in rows[number :: len(MONTHS)]]
        path = folder / f"churn_data_{period.replace('-', '_')}.csv"
        path.write_text("\n".join([",".join(header), *(",".join(row.values()) for row in _spoilt(month, period))]) + "\n")
        found = find_file(path)
        assert found is not None
        drops.append(replace(found, period=period))
    return drops


def _spoilt(month: list[dict[str, str]], period: str) -> list[dict[str, str]]:
    labels = [row["Churn"] for row in month]
    if period == SHUFFLED:
        random.Random(1).shuffle(labels)
        return [{**row, "Churn": label} for row, label in zip(month, labels, strict=True)]
    return [{**row, "Partner": row["Churn"]} for row in month] if period == LEAKED else month
