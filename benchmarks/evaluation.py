"""One evaluation, metrics and evidence of candidate and champion on many held-out rows, but for the models' own predictions."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.listed import peak_mb
from pipelines.evaluation import ChampionScores, score_probabilities
from pipelines.evidence.document import Evaluated, evidence_document
from pipelines.evidence.slices import SliceSettings
from pipelines.schema import Kind, Schema

ROWS = (250, 100_000, 1_000_000)


def measure_evaluation(_workspace: Path) -> Mapping[str, float]:
    """Seconds, of the clock and of processors, and memory per number of held-out rows, each in a process of its own."""
    figures = {}
    for rows in ROWS:
        command = [sys.executable, "-m", "benchmarks.evaluation", str(rows)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        measured = json.loads(done.stdout.splitlines()[-1])
        figures[f"evaluation of {rows:,} held-out rows, s"] = measured["seconds"]
        figures[f"evaluation of {rows:,} held-out rows, CPU s"] = measured["cpu_s"]
        figures[f"evaluation of {rows:,} held-out rows, MB above data"] = measured["memory_mb"]
    return figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """A month of twenty columns, five of which are texts, and two models' predictions for it."""

    rows: pd.DataFrame
    schema: Schema
    labels: np.ndarray
    candidate: np.ndarray
    champion: np.ndarray


def predicted(rows: int) -> Predicted:
    """Two models of one population."""
    draw = np.random.default_rng(1)
    logits = draw.normal(-1, 1, rows)
    labels = (draw.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    candidate, champion = (1 / (1 + np.exp(-logits - draw.normal(0, error, rows))) for error in (0.5, 0.7))
    numbers = {f"number{index}": draw.normal(0, 1, rows) for index in range(15)}
    texts = {f"text{index}": pd.Series(draw.choice(list("abc"), rows), dtype="str") for index in range(5)}
    kinds = {**dict.fromkeys(numbers, Kind.NUMERIC), **dict.fromkeys(texts, Kind.TEXT)}
    return Predicted(
        rows=pd.DataFrame({**numbers, **texts}),
        schema=Schema(target="Churn", entity_column="", columns=kinds),
        labels=labels,
        candidate=candidate,
        champion=champion,
    )


def evaluate(given: Predicted) -> None:
    """What step `evaluate_model` does after both models have predicted."""
    evaluated = Evaluated(
        rows=given.rows,
        schema=given.schema,
        labels=given.labels,
        candidate=score_probabilities(given.candidate, given.labels),
        champion=ChampionScores(version="1", scores=score_probabilities(given.champion, given.labels)),
        at=datetime.now(UTC),
    )
    evidence_document(evaluated, seed=0, settings=SliceSettings())


def main(rows: int) -> dict[str, float]:
    """Evaluate once."""
    given = predicted(rows)
    before_mb, started, worked = peak_mb(), time.perf_counter(), time.process_time()
    evaluate(given)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - worked,
        "memory_mb": peak_mb() - before_mb,
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
