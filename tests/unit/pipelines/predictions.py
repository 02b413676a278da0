"""Predictions of made-up models, and random ones for properties."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

Predictions = tuple[np.ndarray, np.ndarray]


def scored(rows: int, *, seed: int, noise: float = 0.5) -> Predictions:
    """Scores of a model that knows the truth up to some noise, and labels.

    Args:
        rows: How many.
        seed: Other seeds are other customers.
        noise: Standard deviation of its error in logits.
    """
    draw = np.random.default_rng(seed)
    logits = draw.normal(-0.5, 1.0, rows)
    labels = (draw.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    return 1 / (1 + np.exp(-logits - draw.normal(0, noise, rows))), labels


@st.composite
def predictions(draw: DrawFn, *, rows_min: int = 2) -> Predictions:
    """A few rows of both classes; equal scores, zeros and ones are frequent."""
    rows = draw(st.integers(rows_min, 30))
    score = st.one_of(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]), st.floats(0, 1))
    scores = draw(st.lists(score, min_size=rows, max_size=rows))
    labels = draw(st.lists(st.integers(0, 1), min_size=rows - 2, max_size=rows - 2))
    return np.array(scores), np.array([0, 1, *labels])
