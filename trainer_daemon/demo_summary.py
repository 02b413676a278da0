"""The table that the demo ends with: drops, runs, decisions, champion."""

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from trainer_daemon.adapters.ledger.history import Judgement
from trainer_daemon.commands.opening import file_name
from trainer_daemon.commands.records import Course, Records
from trainer_daemon.commands.status_table import STYLES, main_reason
from trainer_daemon.policy.observations import Evaluation, parse_evaluation

if TYPE_CHECKING:
    from rich.console import Console

    from trainer_daemon.adapters.ledger.history import Happening

_METRICS = ("accuracy", "log_loss")


def show_summary(records: Records, course: Course, out: "Console") -> None:
    """Print one row per drop that arrived, in the order of arrival.

    Args:
        records: Of the demo's model.
        course: Of all its runs.
        out: Where to.
    """
    judged = {judgement.run_key: judgement for judgement in course.judgements}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="What arrived, and what came of it", title_justify="left")
    for name in ("Drop", "State", "Version", *(f"{metric}\nchampion →\ncandidate" for metric in _METRICS), "Decision"):
        table.add_column(name, overflow="fold", no_wrap=name in {"Drop", "State"}, ratio=1 if name == "Decision" else None)
    for item in records.happenings:
        table.add_row(*_row(item, records, judged))
    out.print()
    out.print(table)
    champion = records.champion
    if champion is not None:
        out.print(f"Champion: version {champion.version}, trained on {champion.period}.", style="bold")


def _row(item: "Happening", records: Records, judged: dict[str, Judgement]) -> tuple[str | Text, ...]:
    run = records.run_of(item.run_key)
    if run is None or item.outcome == "duplicated":
        return file_name(item.subject), Text("no run", style="dim"), "-", "", "", Text(item.why)
    scores = _scores(judged.get(run.key))
    return (
        file_name(item.subject),
        Text(run.state.value, style=STYLES[run.state]),
        run.model_version or "-",
        *scores,
        Text(main_reason(run)),
    )


def _scores(judgement: Judgement | None) -> tuple[str, ...]:
    evaluation = parse_evaluation(judgement.evaluation) if judgement is not None and judgement.evaluation else None
    return tuple(_score(evaluation, metric) for metric in _METRICS)


def _score(evaluation: Evaluation | None, metric: str) -> str:
    if evaluation is None or metric not in evaluation.candidate:
        return ""
    champion = f"{evaluation.champion[metric]:.2f}" if metric in evaluation.champion else "none"
    return f"{champion} → {evaluation.candidate[metric]:.2f}"
