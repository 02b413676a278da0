"""Metrics of ledgers with a past, as a scrape sees them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.builders import MODEL, NOW, a_drop
from tests.emulators.fixtures import DATABASES
from tests.integration.ledger_story import Storyteller, a_whole_past
from tests.integration.manifests.tools import run_with_input, tool
from trainer_daemon.adapters.ledger import Change, Notices
from trainer_daemon.adapters.ledger.statistics import Statistics
from trainer_daemon.policy.notices import Addressee, NoticeKind
from trainer_daemon.policy.observations import Champion
from trainer_daemon.policy.runs import RunState
from trainer_daemon.telemetry.ledger_metrics import DURATION_S, OUTCOMES, LedgerMetrics
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.outbox_metrics import OutboxMetrics
from trainer_daemon.telemetry.vitals import Vitals
from trainer_daemon.telemetry.vitals_metrics import VitalsMetrics

if TYPE_CHECKING:
    from tests.emulators.postgres import PostgresServer

LATER = NOW + timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """What is scraped of a ledger."""

    registry: CollectorRegistry

    def __call__(self, name: str, **labels: str) -> float | None:
        """The value of a sample of the model."""
        return self.registry.get_sample_value(f"trainer_{name}", {"model": MODEL, **labels})


MakeScrape = Callable[..., Scrape]


@pytest.fixture
def scraping() -> Iterator[MakeScrape]:
    """Makes something that scrapes a ledger a day later."""
    made: list[Statistics] = []

    def make(story: Storyteller, *models: str, now: datetime = LATER) -> Scrape:
        made.append(Statistics(story.url, models or (MODEL,), DURATION_S))
        registry = CollectorRegistry()
        registry.register(LedgerMetrics(made[-1], lambda: now))
        return Scrape(registry=registry)

    yield make
    for statistics in made:
        statistics.close()


@pytest.fixture(scope="module")
def pasts() -> Iterator[dict[str, Storyteller]]:
    """Ledgers in which everything has happened once, by database."""
    made: dict[str, Storyteller] = {}
    yield made
    for story in made.values():
        story.ledger.close()


@pytest.fixture(params=DATABASES)
def past(request: pytest.FixtureRequest, pasts: dict[str, Storyteller], tmp_path_factory: pytest.TempPathFactory) -> Storyteller:
    """Everything has happened once, on each database that there may be; nobody writes it."""
    if request.param not in pasts:
        pasts[request.param] = a_whole_past(_ledger_on(request.param, request, tmp_path_factory.mktemp("past")))
    return pasts[request.param]


def _ledger_on(database: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if database == "sqlite":
        return f"sqlite:///{folder}/ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url(server.create(request.getfixturevalue("migrated_database")))


@pytest.fixture
def present(ledger_url: str) -> Iterator[Storyteller]:
    """Everything has happened once, and more will."""
    story = a_whole_past(ledger_url)
    with closing(story.ledger):
        yield story


@pytest.fixture
def story(ledger_url: str) -> Iterator[Storyteller]:
    """Nothing has happened yet."""
    story = Storyteller(ledger_url)
    with closing(story.ledger):
        yield story


def test_drops_are_counted_by_what_became_of_them(past: Storyteller, scraping: MakeScrape) -> None:
    """Every drop once, an object that can be none as well; what did not occur is there as 0."""
    scrape = scraping(past)
    found = {outcome: scrape("drops", outcome=outcome) for outcome in OUTCOMES}
    absent = dict.fromkeys(("skipped", "trained", "awaiting_approval"), 0)
    assert found == {**dict.fromkeys(OUTCOMES, 1), **absent, "promoted": 2}


def test_runs_are_counted_by_state(past: Storyteller, scraping: MakeScrape) -> None:
    """All states are there."""
    scrape = scraping(past)
    found = {state: scrape("runs", state=state) for state in RunState}
    absent = {RunState.TRAINED: 0, RunState.AWAITING_APPROVAL: 0}
    assert found == {**dict.fromkeys(RunState, 1), **absent, RunState.PROMOTED: 2}


def test_attempts_are_timed_by_what_they_left_running_for(past: Storyteller, scraping: MakeScrape) -> None:
    """Three were trained; moments of the story are a minute apart."""
    scrape = scraping(past)
    duration = "run_duration_seconds"
    assert scrape(f"{duration}_count", state="TRAINED") == 3
    assert scrape(f"{duration}_sum", state="TRAINED") == 180
    assert scrape(f"{duration}_bucket", state="TRAINED", le="30.0") == 0
    assert scrape(f"{duration}_bucket", state="TRAINED", le="60.0") == 3
    assert scrape(f"{duration}_bucket", state="TRAINED", le="+Inf") == 3
    assert scrape(f"{duration}_count", state="QUARANTINED") == 1
    assert scrape(f"{duration}_count", state="RUNNING") is None


def test_what_waits_is_as_old_as_the_oldest_of_it(story: Storyteller, scraping: MakeScrape) -> None:
    """Nothing is 0 seconds old; what runs does not wait."""
    scrape = scraping(story)
    assert (scrape("backlog"), scrape("backlog_age_seconds"), scrape("open_run_age_seconds")) == (0, 0, 0)
    running = story.running(a_drop("2025-08"))
    queued = story.queued(a_drop("2025-09"))
    story.arrives(a_drop("2025-10"))
    assert scrape("backlog") == 2
    assert scrape("backlog_age_seconds") == (LATER - queued.updated_at).total_seconds()
    assert scrape("open_run_age_seconds") == (LATER - running.updated_at).total_seconds()


def test_failed_attempt_that_is_made_again_waits(story: Storyteller, scraping: MakeScrape) -> None:
    """And is no failure in a row yet."""
    scrape = scraping(story)
    story.ended(a_drop("2025-03"), RunState.FAILED, "it was killed")
    assert (scrape("backlog"), scrape("failures_in_a_row")) == (1, 0)


def test_failures_count_until_a_candidate_is_decided_on(story: Storyteller, scraping: MakeScrape) -> None:
    """A bad drop in between is no failure, and no success either."""
    scrape = scraping(story)
    for period in ("2025-01", "2025-03"):
        fail_for_good(story, period)
        story.ended(a_drop(f"2024-{period[-2:]}"), RunState.QUARANTINED, "it is empty")
    assert scrape("failures_in_a_row") == 2
    story.judged(a_drop("2025-05"), "1", log_loss=0.55)
    assert scrape("failures_in_a_row") == 0
    fail_for_good(story, "2025-06")
    assert scrape("failures_in_a_row") == 1


def fail_for_good(story: Storyteller, period: str) -> None:
    """The run of a period fails in every attempt."""
    run = story.running(a_drop(period))
    story.ledger.advance(run, RunState.FAILED, why="broken", now=story.tick(), change=Change(error="broken", final=True))


def test_decisions_are_counted_by_verdict_and_rule(past: Storyteller, scraping: MakeScrape) -> None:
    """The first of three had nobody to be better than."""
    scrape = scraping(past)
    assert (scrape("decisions_total", verdict="promote"), scrape("decisions_total", verdict="reject")) == (2, 1)
    gain = {result: scrape("rule_outcomes_total", rule="min_gain[log_loss]", result=result) for result in results()}
    assert gain == {"passed": 1, "failed": 1, "not_applicable": 1}
    assert scrape("rule_outcomes_total", rule="threshold[roc_auc]", result="passed") == 3


def test_decision_shows_at_the_next_scrape(story: Storyteller, scraping: MakeScrape) -> None:
    """With its rules and its evidence."""
    scrape = scraping(story)
    assert scrape("decisions_total", verdict="promote") == 0
    story.judged(a_drop("2025-01"), "1", log_loss=0.55)
    assert scrape("decisions_total", verdict="promote") == 1
    story.judged(a_drop("2025-03"), "2", log_loss=0.70)
    assert scrape("decisions_total", verdict="reject") == 1
    assert scrape("rule_outcomes_total", rule="min_gain[log_loss]", result="failed") == 1
    assert scrape("evaluation_metric", role="candidate", metric="log_loss") == 0.7


def results() -> tuple[str, ...]:
    """How a rule may come out."""
    return ("passed", "failed", "not_applicable")


def test_metrics_of_both_models_are_those_of_the_newest_decision(past: Storyteller, scraping: MakeScrape) -> None:
    """On the same rows; only metrics that rules may name."""
    scrape = scraping(past)
    assert scrape("evaluation_metric", role="candidate", metric="log_loss") == 0.7
    assert scrape("evaluation_metric", role="champion", metric="log_loss") == 0.6
    assert scrape("evaluation_metric", role="champion", metric="f1") is None


def test_champion_is_shown_with_its_age(present: Storyteller, scraping: MakeScrape) -> None:
    """Only the one there is now; an alias that points nowhere has neither name nor age."""
    scrape = scraping(present)
    assert scrape("champion_info", version="2", period="2025-03") == 1
    assert scrape("champion_info", version="1", period="2025-01") is None
    aged = scrape("champion_age_seconds")
    assert aged is not None
    assert 0 < aged < 86400
    present.ledger.note_champion(MODEL, Champion(version=""), cause="external", now=present.tick())
    assert (scrape("champion_info", version="2", period="2025-03"), scrape("champion_age_seconds")) == (None, None)


def test_change_shows_at_the_next_scrape_and_a_restart_changes_nothing(present: Storyteller, scraping: MakeScrape) -> None:
    """What was read before is not counted twice, and what is read anew is the same."""
    before = scraping(present)
    first = generate_latest(before.registry)
    assert generate_latest(before.registry) == first
    present.arrives(a_drop("2025-12"))
    assert before("drops", outcome="pending") == 2
    assert generate_latest(scraping(present).registry) == generate_latest(before.registry)


def test_only_configured_models_are_shown(past: Storyteller, scraping: MakeScrape) -> None:
    """However many a ledger has seen: labels stay bounded."""
    scrape = scraping(past, "upsell")
    assert f'model="{MODEL}"' not in generate_latest(scrape.registry).decode()
    assert scrape.registry.get_sample_value("trainer_runs", {"model": "upsell", "state": "PROMOTED"}) == 0


def test_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """The rest of the scrape goes on."""
    with closing(Statistics(f"sqlite:///{tmp_path}/nowhere/ledger.db", (MODEL,), DURATION_S)) as statistics:
        registry = CollectorRegistry()
        registry.register(LedgerMetrics(statistics, lambda: NOW))
        assert registry.get_sample_value("trainer_ledger_readable") == 0
        assert registry.get_sample_value("trainer_backlog", {"model": MODEL}) is None


def test_everything_that_can_be_scraped_is_as_prometheus_wants_it(past: Storyteller, scraping: MakeScrape) -> None:
    """Names, units, help: `promtool check metrics` has nothing to say."""
    metrics, vitals = Metrics([MODEL]), Vitals()
    vitals.part("ledger").answered()
    metrics.called("mlflow", "champion", 0.1, error="temporary")
    metrics.stream("projects/demo/subscriptions/s", alive=True)
    metrics.registry.register(VitalsMetrics(vitals))
    text = generate_latest(metrics.registry) + generate_latest(scraping(past).registry)
    assert run_with_input(text.decode(), tool("promtool"), "check", "metrics") == ""


def test_what_waits_to_be_told_is_counted_per_endpoint(story: Storyteller) -> None:
    """With the age of the oldest; a ledger that cannot be read leaves both out."""
    story.ledger.notices = Notices([Addressee(name="ops", kinds=frozenset(NoticeKind))])
    told = story.judged(a_drop("2025-01"), "1", log_loss=0.55).updated_at
    story.judged(a_drop("2025-02"), "2", log_loss=0.5)
    registry = CollectorRegistry()
    registry.register(OutboxMetrics(story.ledger.outbox(), ["ops", "chat"], lambda: told + timedelta(hours=2)))

    def value(name: str, endpoint: str) -> float | None:
        return registry.get_sample_value(f"trainer_outbox_{name}", {"endpoint": endpoint})

    assert (value("waiting", "ops"), value("age_seconds", "ops")) == (2, 7200)
    assert (value("waiting", "chat"), value("age_seconds", "chat")) == (0, 0)
    with story.ledger._telling() as connection:
        connection.exec_driver_sql("DROP TABLE outbox")
    assert value("waiting", "ops") is None
