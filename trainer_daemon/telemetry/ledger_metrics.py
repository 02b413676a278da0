"""Metrics whose values live in the ledger: read from it at every scrape, so that a restart neither resets nor repeats one."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from trainer_daemon.adapters.ledger.statistics import Durations, Standing
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.rules import HIGHER_IS_BETTER
from trainer_daemon.policy.runs import RunState

DURATION_S = (10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0)
"""Bounds of the buckets of runs: from a thousand rows on a laptop to a day on a cluster."""
OUTCOMES = ("pending", "skipped", "duplicated", "invalid", *(state.lower() for state in RunState))
"""What may become of a drop: it is named so by its event, or by the state of the run that it started."""


class StandingsReader(Protocol):
    """Where the numbers come from."""

    def standings(self) -> Sequence[Standing]:
        """One per model; raises TemporaryError or PermanentError."""


class LedgerMetrics(Collector):
    """Reads the ledger when it is scraped; what cannot be read is left out, and that it could not be is a metric, too.

    Args:
        reader: Of the ledger.
        clock: Now, in UTC.
    """

    def __init__(self, reader: StandingsReader, clock: Callable[[], datetime]) -> None:
        self._reader = reader
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Every family, with a sample per model."""
        readable = GaugeMetricFamily(
            "trainer_ledger_readable", "Whether the metrics that live in the ledger could be read for this scrape: 1 or 0."
        )
        standings: Sequence[Standing] = ()
        try:
            standings = self._reader.standings()
            readable.add_metric([], 1)
        except (TemporaryError, PermanentError):
            readable.add_metric([], 0)
        yield readable
        now = self._clock()
        yield from _progress(standings, now)
        yield from _decisions(standings)
        yield from _champions(standings, now)


def _progress(standings: Sequence[Standing], now: datetime) -> Iterator[Metric]:
    drops = GaugeMetricFamily("trainer_drops", "Drops on record, by what became of them.", labels=["model", "outcome"])
    runs = GaugeMetricFamily("trainer_runs", "Runs on record, by state.", labels=["model", "state"])
    taken = HistogramMetricFamily(
        "trainer_run_duration_seconds",
        "How long attempts of runs were under way, by the state that they left RUNNING for.",
        labels=["model", "state"],
    )
    for standing in standings:
        for outcome in OUTCOMES:
            drops.add_metric([standing.model, outcome], standing.drops.get(outcome, 0))
        for state in RunState:
            runs.add_metric([standing.model, state], standing.progress.runs.get(state, 0))
        for left_for, durations in standing.durations.items():
            taken.add_metric([standing.model, left_for], _buckets(durations), durations.total_s)
    yield from (drops, runs, taken)
    yield from _waiting(standings, now)


def _waiting(standings: Sequence[Standing], now: datetime) -> Iterator[Metric]:
    open_age = _per_model("trainer_open_run_age_seconds", "How long the open run has been in its state; 0 when none is open.")
    backlog = _per_model("trainer_backlog", "Events and runs that wait, failed attempts that are made again included.")
    age = _per_model("trainer_backlog_age_seconds", "How long the oldest of these has waited; 0 when nothing waits.")
    failures = _per_model("trainer_failures_in_a_row", "Runs that failed for good since one was last decided.")
    for standing in standings:
        name = [standing.model]
        open_age.add_metric(name, _age_s(standing.progress.open_since, now))
        backlog.add_metric(name, standing.progress.waiting)
        age.add_metric(name, _age_s(standing.progress.waiting_since, now))
        failures.add_metric(name, standing.failures)
    yield from (open_age, backlog, age, failures)


def _decisions(standings: Sequence[Standing]) -> Iterator[Metric]:
    decisions = CounterMetricFamily("trainer_decisions", "Decisions about candidates, by verdict.", labels=["model", "verdict"])
    rules = CounterMetricFamily(
        "trainer_rule_outcomes", "Outcomes of the rules in these decisions.", labels=["model", "rule", "result"]
    )
    values = GaugeMetricFamily(
        "trainer_evaluation_metric",
        "Metrics of candidate and champion on the same held-out rows, from the newest decision.",
        labels=["model", "role", "metric"],
    )
    for standing in standings:
        for verdict in Verdict:
            decisions.add_metric([standing.model, verdict], standing.verdicts.get(verdict, 0))
        for (rule, result), number in sorted(standing.rules.items()):
            rules.add_metric([standing.model, rule, result], number)
        if (evaluation := standing.evaluation) is not None:
            for role, found in (("candidate", evaluation.candidate), ("champion", evaluation.champion)):
                for metric in HIGHER_IS_BETTER.keys() & found.keys():
                    values.add_metric([standing.model, role, metric], found[metric])
    yield from (decisions, rules, values)


def _champions(standings: Sequence[Standing], now: datetime) -> Iterator[Metric]:
    """Nothing for a model that has none: no number would be true."""
    who = GaugeMetricFamily(
        "trainer_champion_info", "The champion, as the ledger knows it; always 1.", labels=["model", "version", "period"]
    )
    age = _per_model("trainer_champion_age_seconds", "How long the champion has been champion.")
    for standing in standings:
        if (champion := standing.champion) is not None:
            who.add_metric([standing.model, champion.version, champion.period], 1)
            age.add_metric([standing.model], _age_s(champion.since, now))
    yield from (who, age)


def _per_model(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["model"])


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    bounded = [(str(bound), float(count)) for bound, count in zip(durations.bounds, durations.at_most, strict=True)]
    return [*bounded, ("+Inf", float(durations.number))]


def _age_s(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0
