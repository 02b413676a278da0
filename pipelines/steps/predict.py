"""The one step of pipeline `inference`: rows in, one file of predictions out, its receipt on the run's MLflow run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines import tracking
from pipelines.destination import Destination
from pipelines.opening import open_drop
from pipelines.parameters import DataSettings, Drop, RunIdentity
from pipelines.prediction import Predictor, Tally
from pipelines.prediction_report import render_prediction_report
from pipelines.progress import say, timed
from pipelines.reading import Blocks
from pipelines.serving import Served, fetch_served

PREDICTIONS_TAG = "trainer.predictions"
_SAY_ROWS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedFiles:
    """What the step writes besides the predictions.

    Attributes:
        report: HTML.
    """

    report: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be predicted.

    Attributes:
        version: Pinned when the run was launched.
        out: URI of the file to write, `.parquet` or `.csv`.
    """

    drop: Drop
    version: str
    out: str


def predict(identity: RunIdentity, wanted: Wanted, *, settings: DataSettings, files: PredictedFiles) -> Tally:
    """Predict every row of a data set.

    Args:
        identity: Whose run.
        wanted: What of, by which version, where to.
        settings: Which columns say whose row it is, and how large the data may be.
        files: Where to write what people read.

    Raises:
        BadDrop: The data cannot be read, or does not fit the model.
        DropChanged: It holds other bytes by now.
        UnusableModel: The version is gone or cannot be loaded safely.
    """
    with timed("opening the MLflow run"):
        run = tracking.open_run(identity, wanted.drop.period)
    with timed(f"fetching version {wanted.version}"):
        served = fetch_served(identity.model, wanted.version)
    destination = Destination(uri=wanted.out)
    with timed(f"predicting {wanted.drop.uri.rpartition('/')[2]}"):
        tally = _write(identity, wanted, settings=settings, served=served, destination=destination)
    report = render_prediction_report(identity, wanted.drop.ref, served, destination.uri, tally)
    files.report.write_text(report, encoding="utf-8")
    with timed("writing the receipt to MLflow"):
        receipt = {"run": identity.run_name, "uri": destination.uri, "checksum": destination.checksum}
        _record(run, wanted, receipt, tally=tally, report=report)
    return tally


def _write(identity: RunIdentity, wanted: Wanted, *, settings: DataSettings, served: Served, destination: Destination) -> Tally:
    """The file appears once the data was read to its end and had the checksum that the run was launched for."""
    predictor = Predictor(served, settings, identity.run_key)
    with destination.replaced(identity.run_key) as write, open_drop(wanted.drop, max_bytes=settings.max_bytes) as streams:
        said = 0
        for table in predictor.predict(Blocks(wanted.drop, streams)):
            write(table)
            if predictor.tally.rows // _SAY_ROWS > said:
                said = predictor.tally.rows // _SAY_ROWS
                say(f"{predictor.tally.rows:,} rows predicted")
    say(f"{predictor.tally.rows:,} predictions in {destination.uri}")
    return predictor.tally


def _record(run: tracking.TrackedRun, wanted: Wanted, receipt: Mapping[str, str], *, tally: Tally, report: str) -> None:
    """The receipt comes last: whoever finds it finds everything."""
    tracking.record_results(
        run,
        params={"dataset": wanted.drop.uri, "checksum": wanted.drop.checksum, "version": wanted.version, "out": wanted.out},
        metrics={"rows": float(tally.rows), "mean_probability": tally.mean, "labelled_share": tally.share},
        artifacts={"report.html": report},
    )
    document = json.dumps({**receipt, "rows": tally.rows, "labelled": tally.labelled})
    run.client.set_tag(run.run_id, PREDICTIONS_TAG, document)
    tracking.finish(run)
