"""The champions of a model as points on a drawing: where everything is, in the drawing's own units. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 8.0, 14.0, 34.0
TICKS = 4
"""Lines across the drawing, about."""
_EQUAL = 1e-6
"""Scores that differ by less are drawn as one."""
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What is known of the promotion of one champion.

    Attributes:
        period: Such as `2025-03`; empty when it is not known.
        own: What it scored when it was promoted; None when nobody knows.
        replaced: What the champion that it replaced scored on the same rows; None when it replaced none.
    """

    version: str
    period: str
    own: float | None
    replaced: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One champion.

    Attributes:
        x: Of everything about it.
        own: Height of its score.
        replaced: Height of its predecessor's score.
        month: Such as `03`.
        year: Where it differs from that of the column before; else empty.
    """

    x: float
    version: str
    month: str
    year: str
    own: float | None
    replaced: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line across the drawing."""

    y: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything that is drawn."""

    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]


def draw(scores: Sequence[Score]) -> Chart | None:
    """Lay the champions out, oldest first; None when there is no score to show."""
    values = [value for score in scores for value in (score.own, score.replaced) if value is not None]
    if not values:
        return None
    steps = _steps(min(values), max(values))
    low, high = steps[0], steps[-1]

    def height(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    ticks = tuple(Tick(y=height(value), text=f"{value:g}") for value in steps)
    width = (WIDTH - LEFT - RIGHT) / len(scores)
    years = [score.period[:4] for score in scores]
    columns = tuple(
        Column(
            x=round(LEFT + width * (place + 0.5), 1),
            version=score.version,
            month=score.period[5:],
            year=score.period[:4] if place == 0 or years[place - 1] != years[place] else "",
            own=None if score.own is None else height(score.own),
            replaced=None if score.replaced is None else height(score.replaced),
        )
        for place, score in enumerate(scores)
    )
    return Chart(columns=columns, ticks=ticks)


def _steps(low: float, high: float) -> list[float]:
    """Round numbers, equally far apart, the first no higher than the lowest value and the last no lower than the highest."""
    span = high - low
    step = _round_up((span if span > _EQUAL else max(abs(high), _EQUAL)) / (TICKS - 1))
    return [round(number, 10) for number in _multiples(math.floor(low / step), high, step)]


def _multiples(first: int, high: float, step: float) -> Iterator[float]:
    number = first
    while True:
        yield number * step
        if number > first and number * step >= high - step * 1e-9:
            return
        number += 1


def _round_up(value: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(factor for factor in _ROUND if factor * magnitude >= value * (1 - 1e-9)) * magnitude
