"""The drawings of the page; each says in words what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipelines.report.contents import Month, Points, Side
from pipelines.report.drawing import UNIT_TICKS, Axes, Frame, area, axes, dots, drawing, line, steps

_STYLES = {"candidate": "a", "champion": "b"}
_UNIT = Frame()
_PANEL = Frame(height=150)
_MONTHS_LABELLED_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawing with what it shows, in a few words."""

    title: str
    svg: Markup


def figures_of(sides: Sequence[Side]) -> list[Figure]:
    """Every figure about the held-out rows that there is something to draw for.

    Args:
        sides: The candidate, and the champion when it was scored.
    """
    found = [_roc(sides), _precision_recall(sides), _calibration(sides), *map(_spread, sides)]
    return [figure for figure in found if figure is not None]


def months_figure(months: Sequence[Month], metric: str) -> Figure | None:
    """The metric over all periods; None with fewer than two of them."""
    ours = [(float(at), month.candidate) for at, month in enumerate(months) if month.candidate is not None]
    theirs = [(float(at), month.champion) for at, month in enumerate(months) if month.champion is not None]
    values = [value for _, value in (*ours, *theirs)]
    if len(ours) < 2:  # noqa: PLR2004 - a line needs two points
        return None
    frame = Frame(width=340, height=220, x_range=(0.0, float(len(months) - 1)), y_range=_around(values))
    promoted = [point for point in ours if months[int(point[0])].is_champion]
    svg = drawing(
        frame,
        f"{metric} of candidate and champion over {len(months)} periods, from {months[0].period} to {months[-1].period}; "
        f"{len(promoted)} candidates became champion; the numbers are in the table below",
        axes(frame, Axes(x_label="period", y_label="", x_ticks=_periods(months), y_ticks=_ticks(frame.y_range))),
        line(frame, theirs, "b"),
        line(frame, ours, "a"),
        dots(frame, ours, "dot-hollow"),
        dots(frame, promoted, "dot-a"),
    )
    return Figure(title=f"{metric} over all periods", svg=svg)


def _roc(sides: Sequence[Side]) -> Figure | None:
    labels = Axes(x_label="false positive rate", y_label="true positive rate", x_ticks=UNIT_TICKS, y_ticks=UNIT_TICKS)
    curves = {side.name: side.curves.roc for side in sides}
    alternative = f"ROC curves; area under the curve: {_said(sides, 'roc_auc')}"
    return _curves("ROC curve", curves, labels=labels, alternative=alternative, diagonal=True)


def _precision_recall(sides: Sequence[Side]) -> Figure | None:
    labels = Axes(x_label="recall", y_label="precision", x_ticks=UNIT_TICKS, y_ticks=UNIT_TICKS)
    curves = {side.name: side.curves.precision_recall for side in sides}
    alternative = f"precision by recall; average precision: {_said(sides, 'average_precision')}"
    return _curves("Precision and recall", curves, labels=labels, alternative=alternative)


def _calibration(sides: Sequence[Side]) -> Figure | None:
    labels = Axes(x_label="predicted probability", y_label="share that churned", x_ticks=UNIT_TICKS, y_ticks=UNIT_TICKS)
    curves = {side.name: side.curves.calibration for side in sides}
    alternative = f"share that churned by predicted probability; calibration error: {_said(sides, 'ece')}"
    return _curves("Calibration", curves, labels=labels, alternative=alternative, diagonal=True, dotted=True)


def _curves(
    title: str, curves: dict[str, Points], *, labels: Axes, alternative: str, diagonal: bool = False, dotted: bool = False
) -> Figure | None:
    if not any(curves.values()):
        return None
    drawn = [axes(_UNIT, labels)]
    if diagonal:
        drawn.append(line(_UNIT, ((0, 0), (1, 1)), "chance"))
    for name in reversed(curves):  # the candidate lies on top
        drawn.append(line(_UNIT, curves[name], _STYLES[name]))
        if dotted:
            drawn.append(dots(_UNIT, curves[name], f"dot-{_STYLES[name]}"))
    return Figure(title=title, svg=drawing(_UNIT, alternative, *drawn))


def _spread(side: Side) -> Figure | None:
    """How those who stayed and those who churned are scored, each as shares of their own number."""
    groups = {"stayed": side.curves.stayed, "churned": side.curves.churned}
    shares = {name: [count / (sum(counts) or 1) for count in counts] for name, counts in groups.items()}
    highest = max((share for each in shares.values() for share in each), default=0.0)
    if not highest:
        return None
    frame = Frame(height=_PANEL.height, y_range=(0.0, highest))
    labels = Axes(
        x_label="predicted probability", y_label="share", x_ticks=UNIT_TICKS, y_ticks=((0.0, "0"), (highest, f"{highest:.0%}"))
    )
    means = ", ".join(f"{name} {_mean(counts):.2f}" for name, counts in groups.items())
    svg = drawing(
        frame,
        f"distribution of the {side.name}'s probabilities; on average of those who {means}",
        axes(frame, labels),
        *(area(frame, steps(each), name) for name, each in shares.items()),
        *(line(frame, steps(each), f"{name}-edge") for name, each in shares.items()),
    )
    return Figure(title=f"Scores of the {side.name}", svg=svg)


def _mean(counts: Sequence[float]) -> float:
    total = sum(counts) or 1
    return sum(count * (at + 0.5) / len(counts) for at, count in enumerate(counts)) / total


def _said(sides: Sequence[Side], metric: str) -> str:
    return ", ".join(f"{side.name} {side.metrics[metric]:.4f}" for side in sides if metric in side.metrics) or "unknown"


def _around(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.05
    return low - margin, high + margin


def _ticks(between: tuple[float, float]) -> list[tuple[float, str]]:
    low, high = between
    inner = (low + 0.1 * (high - low), (low + high) / 2, high - 0.1 * (high - low))
    return [(value, f"{value:.3f}") for value in inner]


def _periods(months: Sequence[Month]) -> list[tuple[float, str]]:
    """The first, the last and some between."""
    last = len(months) - 1
    labelled = min(_MONTHS_LABELLED_MAX, len(months))
    positions = sorted({round(last * at / (labelled - 1)) for at in range(labelled)})
    return [(float(at), months[at].period) for at in positions]
