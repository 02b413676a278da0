"""The section `[models.promotion]`: the rules a candidate is judged by, and what is looked at for them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, ValidationInfo, field_validator

from trainer_daemon import config_values as values
from trainer_daemon.config_keys import Allowed
from trainer_daemon.config_section import Section
from trainer_daemon.policy.promotion import PromotionPolicy

EVIDENCE_KEYS = {"slice_columns", "min_slice_rows"}
"""Keys that the pipeline needs to know, not the judge."""
_UNBOUNDED = frozenset({"log_loss"})
"""Metrics that may exceed 1."""

Metric = Annotated[
    str,
    Allowed(values.choices(tuple(values.HIGHER_IS_BETTER))),
    AfterValidator(values.metric_name),
]
ByMetric = Annotated[Mapping[Metric, FiniteFloat], Allowed("a table of metric = number")]


class PromotionSettings(Section):
    """What a candidate has to prove before it becomes champion."""

    mode: Literal["automatic", "approval", "shadow"] = Field(
        "automatic",
        description='What comes of a candidate that passes the rules: `"automatic"` makes it champion; `"approval"` waits for '
        '`trainer-daemon approve`, while later drops are trained; `"shadow"` makes nobody champion and records who would have '
        "become it.",
    )
    approval_expiry_days: FiniteFloat = Field(
        14.0, gt=0, le=3650, description='How long a candidate waits with `mode = "approval"`; then it is rejected.'
    )
    metric: Metric = Field("log_loss", description="The metric that has to improve on the champion.")
    min_gain: FiniteFloat = Field(0.0, ge=0, description="By how much, in the metric's own units; equal is never enough.")
    confidence: FiniteFloat = Field(
        0.0,
        ge=0,
        lt=1,
        description="How probable it must be, over resamples of the held-out rows, that the gain exceeds `min_gain`; 0 does not "
        "ask. A few hundred held-out rows are too few to be sure of a moderate gain: then a stale champion, which costs more "
        "than an equal one in its place, would stay. From some thousands on, 0.95 is a good choice.",
    )
    thresholds: ByMetric = Field(
        {"roc_auc": 0.6},
        description="Absolute bounds, also for a first model: a minimum, or a maximum where lower is better. Near what your "
        "models usually reach, it also refuses a month whose labels are wrong; with a hundred held-out rows, about one of twenty "
        "such months reaches a ROC-AUC of 0.6 by chance.",
    )
    max_loss: ByMetric = Field({"roc_auc": 0.05}, description="Guards: other metrics that may not get worse by more.")
    max_slice_loss: ByMetric = Field(
        {}, description="Metrics that may not get worse by more on any slice, as { log_loss = 0.1 }; see `slice_columns`."
    )
    max_calibration_loss: FiniteFloat = Field(
        1.0, ge=0, le=1, description="The expected calibration error may not get worse by more; 1 does not ask."
    )
    max_drift: FiniteFloat = Field(
        0.0,
        ge=0,
        description="Highest population stability index of any column, or of the champion's scores, against the champion's "
        "training data, as 0.25; 0 does not ask. A month that has moved further is rejected, for a person to look at.",
    )
    drift_without_reference: Literal["fail", "ignore"] = Field(
        "fail", description="What `max_drift` does about a champion whose training data is not remembered."
    )
    min_holdout_rows: int = Field(30, ge=1, description="Fewer held-out rows prove nothing.")
    min_label_age_days: int = Field(
        0, ge=0, description="How many days a month must have been over when it is evaluated, where labels become known late."
    )
    leak_bounds: ByMetric = Field(
        {"roc_auc": 0.995},
        description="A candidate that is better than this is rejected: a column is suspected to hold the label.",
    )
    leak_column_auc: FiniteFloat = Field(
        0.99, gt=0.5, le=1, description="A column whose ROC-AUC alone is higher is suspected to hold the label; 1 does not ask."
    )
    slice_columns: Annotated[tuple[str, ...], Allowed("a list of column names"), Field(strict=False)] = Field(
        (), description="Columns whose values are evaluated apart, besides texts with at most ten different values."
    )
    min_slice_rows: int = Field(50, ge=1, description="Slices with fewer held-out rows are left out.")

    def rules(self) -> PromotionPolicy:
        """What the judge is given."""
        return PromotionPolicy(**self.model_dump(exclude=EVIDENCE_KEYS))

    @field_validator("thresholds", "leak_bounds")
    @classmethod
    def _possible_bounds(cls, thresholds: Mapping[str, float]) -> Mapping[str, float]:
        """A bound that nothing or everything reaches, as 60 for 60 %, is a mistake."""
        for name, bound in thresholds.items():
            if not _is_possible(name, bound):
                wanted = "of at least 0" if name in _UNBOUNDED else "from 0 to 1"
                msg = f"must hold a bound {wanted} for {name}, not {bound:g}"
                raise ValueError(msg)
        return thresholds

    @field_validator("max_loss", "max_slice_loss")
    @classmethod
    def _possible_losses(cls, guards: Mapping[str, float]) -> Mapping[str, float]:
        """A loss that can never be exceeded, as 5 for 5 %, would guard nothing."""
        negative = [name for name, loss in guards.items() if loss < 0]
        if negative:
            msg = f"must hold numbers of at least 0; {negative[0]} is negative"
            raise ValueError(msg)
        for name, loss in guards.items():
            if not _is_possible(name, loss):
                msg = f"must hold a number from 0 to 1 for {name}, not {loss:g}: no loss is larger"
                raise ValueError(msg)
        return guards

    @field_validator("min_gain")
    @classmethod
    def _possible_gain(cls, gain: float, info: ValidationInfo) -> float:
        """A gain that nobody can reach would keep the champion for ever."""
        metric = info.data.get("metric", "log_loss")
        if metric not in _UNBOUNDED and gain >= 1:
            msg = f"must be below 1 for {metric}: no gain is larger"
            raise ValueError(msg)
        return gain


def _is_possible(metric: str, number: float) -> bool:
    """Whether the metric, or a difference in it, can be as large."""
    return number >= 0 and (number <= 1 or metric in _UNBOUNDED)
