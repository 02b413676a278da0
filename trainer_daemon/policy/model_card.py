"""What a model version says of itself in a few lines of Markdown: what it was trained on, how it did, what became of it. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.observations import Evaluation, parse_evaluation
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run, RunState

CARD_LENGTH_MAX = 4500
"""Below the 5,000 characters that a registry's database keeps of a description."""
_METRICS = ("log_loss", "roc_auc", "accuracy")
_DROPS_MAX, _SENTENCE_LENGTH_MAX = 3, 400
_MARKDOWN = re.compile(r"([\\`*\[\]<>|])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of a version.

    Attributes:
        headline: One sentence.
        reasons: Further sentences.
    """

    headline: str
    reasons: tuple[str, ...] = ()


def fate_of(decision: Decision, became: RunState, *, at: datetime, why: str = "") -> Fate:
    """What a decision means for the version it is about.

    Args:
        decision: With every rule's outcome, a person's answer included.
        became: PROMOTED, REJECTED or AWAITING_APPROVAL.
        at: When.
        why: What is to be said besides the rules; empty for nothing.
    """
    champion = f"champion version {decision.champion_version}" if decision.champion_version else ""
    match became:
        case RunState.PROMOTED:
            headline = f"Promoted on {at:%Y-%m-%d}, {f'in place of {champion}' if champion else 'as the first champion'}."
        case RunState.AWAITING_APPROVAL:
            headline = f"Passed the rules on {at:%Y-%m-%d} and waits for a person's approval."
        case _:
            headline = f"Rejected on {at:%Y-%m-%d}; {f'{champion} stays' if champion else 'there is no champion yet'}."
    said = decision.reasons if not why or why in "; ".join(decision.reasons) else (why, *decision.reasons)
    return Fate(headline=headline, reasons=said)


def moved_by_person(wish: Intervention, before: str, at: datetime) -> Mapping[str, Fate]:
    """What the cards of the versions say that a person moved the champion between.

    Args:
        wish: What was asked for.
        before: Who was champion; empty for nobody.
        at: When.
    """
    if wish.kind == "promote":
        return {wish.version: Fate(headline=f"Made champion on {at:%Y-%m-%d}: {wish.sentence}.")}
    taken_back = {before: Fate(headline=f"Taken back on {at:%Y-%m-%d}: {wish.sentence}.")} if before else {}
    restored = f"Champion again since {at:%Y-%m-%d}: restored by {wish.by} in place of {wish.replaced}: {wish.reason}."
    return {**taken_back, wish.version: Fate(headline=restored)}


def model_card(run: Run, evaluation: Mapping[str, Any], fate: Fate) -> str:
    """The card of the version that a run registered.

    Args:
        run: That made the version.
        evaluation: Its `evaluation.json`; what it lacks is left out.
        fate: What became of the version; whoever moves a champion writes the card again with a fate of his own.
    """
    last = f"Run {run.name}; its MLflow run has report.html, with every rule, and evaluation.json."
    paragraphs = [_plain(fate.headline), _plain(_trained(run, evaluation)), *map(_plain, _scored(evaluation))]
    room = CARD_LENGTH_MAX - sum(map(len, paragraphs)) - len(last)
    return "\n\n".join([*paragraphs, *_why(fate.reasons, room), last])


def _trained(run: Run, evaluation: Mapping[str, Any]) -> str:
    given = evaluation.get("training")
    summary = given if isinstance(given, Mapping) else {}
    by = f"by {summary['estimator']} " if "estimator" in summary else ""
    rows = f"{summary['rows']:,} rows of " if isinstance(summary.get("rows"), int) else ""
    features = summary.get("features")
    using = f", {len(features)} features" if isinstance(features, Sequence) else ""
    return f"Trained {by}on {rows}{_drops(run)}{using}."


def _drops(run: Run) -> str:
    names = [f"{unquote(drop.uri.rpartition('/')[2])} ({drop.period})" for drop in run.drops]
    earlier = len(names) - _DROPS_MAX
    return ", ".join(names[-_DROPS_MAX:]) + (f" and {earlier} earlier drops" if earlier > 0 else "")


def _scored(evaluation: Mapping[str, Any]) -> Iterator[str]:
    try:
        read = parse_evaluation(evaluation)
    except ValueError:
        return
    against = f", against champion version {read.champion_version}" if read.champion_version else ""
    scores = ", ".join(_score(name, read) for name in _METRICS if name in read.candidate)
    yield f"On {read.holdout_rows:,} held-out rows{against}: {scores or 'no metric is known'}."


def _score(name: str, read: Evaluation) -> str:
    versus = f" (champion {read.champion[name]:.4f})" if name in read.champion else ""
    return f"{name} {read.candidate[name]:.4f}{versus}"


def _why(reasons: Sequence[str], room: int) -> Iterator[str]:
    """One list of as many reasons as there is room for."""
    items: list[str] = []
    for reason in map(_plain, reasons):
        room -= len(reason) + 3
        if room < 0:
            break
        items.append(f"- {reason}")
    if items:
        yield "\n".join(["Why:", "", *items])


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line: columns and files may have any name."""
    line = " ".join(text.split())
    shorter = line if len(line) <= _SENTENCE_LENGTH_MAX else f"{line[:_SENTENCE_LENGTH_MAX]}…"
    return _MARKDOWN.sub(r"\\\1", shorter)
