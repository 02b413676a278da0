"""The report of a run as the daemon knows it: the page of the evidence, with the decision, its rules and all periods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.report.contents import Month, Rule, Ruling, Subject
from pipelines.report.rendering import render_report
from trainer_daemon.adapters.ledger.rows import Judged
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run, RunState

_WORDS: Mapping[RunState, str] = {RunState.AWAITING_APPROVAL: "waits for approval"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a report is made of.

    Attributes:
        became: PROMOTED, REJECTED, AWAITING_APPROVAL, or whatever else became of the run.
        evaluation: `evaluation.json`.
        judged: Every judged run of the model, in any order.
        metric: The one that has to improve.
        link: The run's page where it was executed; empty when there is none.
    """

    run: Run
    decision: Decision
    became: RunState
    evaluation: Mapping[str, Any]
    judged: Sequence[Judged]
    metric: str
    link: str = ""


def report_of(reported: Reported) -> str:
    """The page."""
    rules = tuple(Rule(name=each.rule, result=each.result.value, sentence=each.sentence) for each in reported.decision.outcomes)
    headline, tone = _headline(reported)
    subject = Subject(
        run=reported.run.name,
        metric=reported.metric,
        ruling=Ruling(headline=headline, tone=tone, rules=rules),
        months=tuple(_months(reported)),
        link=reported.link,
    )
    return render_report(reported.evaluation, subject)


def _headline(reported: Reported) -> tuple[str, str]:
    decision = reported.decision
    champion = f"champion version {decision.champion_version}" if decision.champion_version else ""
    version = f"version {decision.candidate_version}"
    match reported.became:
        case RunState.PROMOTED:
            return f"Promoted: {version} {f'in place of {champion}' if champion else 'is the first champion'}", "good"
        case RunState.REJECTED:
            return f"Rejected: {f'{champion} stays' if champion else 'there is no champion yet'}", "bad"
        case RunState.AWAITING_APPROVAL:
            return f"Waits for approval: {version} passed the rules", "waiting"
        case other:
            return f"Judged, but the run is {other.lower()}", "waiting"


def _months(reported: Reported) -> list[Month]:
    """What was judged until then, oldest period first; the run itself is what is said of it here."""
    own = next((each for each in reported.judged if each.run_key == reported.run.key), None)
    until = [each for each in reported.judged if own is None or each.at <= own.at]
    return [_month(each, reported) for each in sorted(until, key=lambda each: (each.period, each.at))]


def _month(each: Judged, reported: Reported) -> Month:
    became = reported.became if each.run_key == reported.run.key else each.state
    return Month(
        period=each.period,
        version=each.version,
        candidate=each.candidate.get(reported.metric),
        champion=each.champion.get(reported.metric),
        became=_WORDS.get(became, became.lower()),
        is_champion=became is RunState.PROMOTED,
    )
