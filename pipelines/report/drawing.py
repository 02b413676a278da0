"""Small vector drawings with a text alternative; every text in them is escaped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from markupsafe import Markup

_PAD_LEFT, _PAD_RIGHT, _PAD_TOP, _PAD_BOTTOM = 42, 10, 10, 36
_BOTTOM_LABEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where things are in a drawing, and which numbers its edges stand for.

    Attributes:
        width: Of the drawing, in its own units.
        height: The same.
        x_range: Numbers at the left and at the right edge of the area.
        y_range: Numbers at its bottom and at its top.
    """

    width: int = 300
    height: int = 270
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)

    def x(self, value: float) -> float:
        """Where a number is on the horizontal axis."""
        return _PAD_LEFT + (self.width - _PAD_LEFT - _PAD_RIGHT) * _part_of(value, self.x_range)

    def y(self, value: float) -> float:
        """Where a number is on the vertical axis."""
        return self.height - _PAD_BOTTOM - (self.height - _PAD_TOP - _PAD_BOTTOM) * _part_of(value, self.y_range)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What is written along the edges.

    Attributes:
        x_ticks: Number and text.
        y_ticks: The same.
    """

    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]


UNIT_TICKS = ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))


def drawing(frame: Frame, alternative: str, *parts: Markup) -> Markup:
    """A whole drawing.

    Args:
        frame: Its size.
        alternative: What it shows, for those who cannot see it.
        parts: What is drawn, in order.
    """
    svg = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return svg.format(frame.width, frame.height, alternative, Markup("").join(parts))


def axes(frame: Frame, labels: Axes) -> Markup:
    """Axes with ticks and labels."""
    (left, right), (bottom, top) = map(frame.x, frame.x_range), map(frame.y, frame.y_range)
    ruled = Markup('<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>')
    grid = [ruled.format(left, frame.y(at), right) for at, _ in labels.y_ticks]
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    return Markup("").join(
        [
            *grid,
            Markup('<path class="axis" d="M{:.1f} {:.1f}V{:.1f}H{:.1f}"/>').format(left, top, bottom, right),
            *(text(frame.x(at), bottom + 15, word, anchor=_anchor(at, frame.x_range)) for at, word in labels.x_ticks),
            *(text(left - 5, frame.y(at) + 4, word, anchor="end") for at, word in labels.y_ticks),
            text(middle_x, frame.height - _BOTTOM_LABEL, labels.x_label),
            Markup('<text x="11" y="{y:.1f}" text-anchor="middle" transform="rotate(-90 11 {y:.1f})">{word}</text>').format(
                y=middle_y, word=labels.y_label
            ),
        ]
    )


def text(x: float, y: float, word: str, *, anchor: str = "middle") -> Markup:
    """A text."""
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, word)


def line(frame: Frame, points: Iterable[tuple[float, float]], style: str) -> Markup:
    """A line through points."""
    return Markup('<polyline class="{}" points="{}"/>').format(style, _joined(frame, points))


def area(frame: Frame, points: Sequence[tuple[float, float]], style: str) -> Markup:
    """The area between a line and the bottom."""
    if not points:
        return Markup("")
    base = frame.y_range[0]
    closed = [(points[0][0], base), *points, (points[-1][0], base)]
    return Markup('<polygon class="{}" points="{}"/>').format(style, _joined(frame, closed))


def dots(frame: Frame, points: Iterable[tuple[float, float]], style: str) -> Markup:
    """A dot at each point."""
    circle = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>')
    return Markup("").join([circle.format(style, frame.x(x), frame.y(y)) for x, y in points])


def steps(shares: Sequence[float]) -> list[tuple[float, float]]:
    """The outline of bars of equal width over 0 to 1."""
    width = 1 / max(1, len(shares))
    return [(at * width + side, share) for at, share in zip(count(), shares, strict=False) for side in (0.0, width)]


def _joined(frame: Frame, points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)


def _part_of(value: float, between: tuple[float, float]) -> float:
    low, high = between
    return (value - low) / (high - low) if high > low else 0.5


def _anchor(at: float, between: tuple[float, float]) -> str:
    """Texts at the edges stay inside."""
    return "end" if at == between[1] and between[0] < between[1] else "middle"
