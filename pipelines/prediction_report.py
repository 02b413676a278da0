"""Batch predictions as one self-contained page, in the style of the evaluation's."""

import numpy as np

from pipelines.parameters import RunIdentity
from pipelines.prediction import BINS, Tally
from pipelines.report import facts_table, figure, page
from pipelines.serving import Served

_WIDTH, _HEIGHT, _PAD = 300, 180, 24


def render_prediction_report(identity: RunIdentity, dataset: str, served: Served, out: str, tally: Tally) -> str:
    """The page.

    Args:
        identity: Whose run.
        dataset: What was predicted.
        served: By which model.
        out: Where the predictions are.
        tally: What they come to.
    """
    facts = {
        "run": identity.run_name,
        "data": dataset,
        "model": served.title,
        "predictions": out,
        "rows": f"{tally.rows:,}",
        "labelled as churn": f"{tally.labelled:,}, {tally.share:.1%}",
        "mean probability": f"{tally.mean:.4f}",
    }
    body = f'{facts_table(tuple(facts.items()))}<div class="figures">{figure("Rows by probability", _histogram(tally))}</div>'
    return page(f"Predictions of {identity.model}", body)


def _histogram(tally: Tally) -> str:
    heights = tally.probabilities / max(1, int(np.max(tally.probabilities))) * (_HEIGHT - 2 * _PAD)
    width = (_WIDTH - 2 * _PAD) / BINS
    bars = "".join(
        f'<rect class="cell" x="{_PAD + number * width:.1f}" y="{_HEIGHT - _PAD - height:.1f}" '
        f'width="{width - 1:.1f}" height="{height:.1f}"/>'
        for number, height in enumerate(heights)
    )
    base = _HEIGHT - _PAD
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="histogram of probabilities">{bars}'
        f'<path class="axis" d="M{_PAD} {base}H{_WIDTH - _PAD}"/><text x="{_PAD}" y="{_HEIGHT - 6}">0</text>'
        f'<text x="{_WIDTH - _PAD}" y="{_HEIGHT - 6}" text-anchor="end">1</text></svg>'
    )
