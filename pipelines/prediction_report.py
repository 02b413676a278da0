"""Batch predictions as one self-contained page, in the style of the evaluation's."""

import numpy as np
from markupsafe import Markup

from pipelines.parameters import RunIdentity
from pipelines.prediction import BINS, Tally
from pipelines.report.drawing import text
from pipelines.report.rendering import facts_table, figure, render_page
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
    histogram = figure("Rows by probability", _histogram(tally))
    body = facts_table(tuple(facts.items())) + Markup('<div class="figures">{}</div>').format(histogram)
    return render_page(f"Predictions of {identity.model}", body)


def _histogram(tally: Tally) -> Markup:
    heights = tally.probabilities / max(1, int(np.max(tally.probabilities))) * (_HEIGHT - 2 * _PAD)
    width, base = (_WIDTH - 2 * _PAD) / BINS, _HEIGHT - _PAD
    bar = Markup('<rect class="cell" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
    bars = [bar.format(_PAD + at * width, base - height, width - 1, height) for at, height in enumerate(heights)]
    svg = Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{:,} rows by probability, {:.4f} on average">{}'
        '<path class="axis" d="M{} {}H{}"/>{}{}</svg>'
    )
    ends = (text(_PAD, _HEIGHT - 6, "0", anchor="start"), text(_WIDTH - _PAD, _HEIGHT - 6, "1", anchor="end"))
    return svg.format(_WIDTH, _HEIGHT, tally.rows, tally.mean, Markup("").join(bars), _PAD, base, _WIDTH - _PAD, *ends)
