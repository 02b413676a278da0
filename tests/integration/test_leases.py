"""Leases on every database: one holder at a time, by the database's clock; whoever lost one can write nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from sqlalchemy import event, text

from tests.builders import MODEL, NOW, a_drop, a_drop_event, a_policy
from tests.fakes import FakeOrchestrator, FakeRegistry
from tests.integration.ledger_story import advanced
from trainer_daemon import leases
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.clock import define_clock
from trainer_daemon.adapters.ledger.history import Holding, open_history
from trainer_daemon.errors import LeaseLostError, TemporaryError
from trainer_daemon.fenced import FencedOrchestrator, FencedRegistry
from trainer_daemon.leases import Leases, Tenure
from trainer_daemon.policy import leases as durations
from trainer_daemon.policy.leases import Lease
from trainer_daemon.policy.plan import propose
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.ports import RunRequest

OTHER = "another model"
LEASE_S, MARGIN_S = 1000.0, 300.0
"""The database's clock goes on meanwhile: no test takes so long on any machine."""


@pytest.fixture(autouse=True)
def long_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the tests believe."""
    monkeypatch.setattr(leases, "LEASE_S", LEASE_S)
    monkeypatch.setattr(durations, "LEASE_S", LEASE_S)
    monkeypatch.setattr(durations, "MARGIN_S", MARGIN_S)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger(ledger_url) as opened:
        yield opened


def age(ledger: Ledger, seconds: float) -> None:
    """So much time passes by the database's clock."""
    with ledger._engine.begin() as connection:
        connection.execute(text("UPDATE lease SET expires_at = expires_at - :seconds"), {"seconds": seconds})


@dataclass
class Replica:
    """One daemon, as far as leases go, with a clock of its own."""

    ledger: Ledger
    name: str
    alone: bool = False
    models: tuple[str, ...] = (MODEL,)
    now: float = 1000.0
    log: structlog.testing.CapturingLogger = field(default_factory=structlog.testing.CapturingLogger)
    changes: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leases = Leases(
            self.ledger,
            self.models,
            holder=self.name,
            log=structlog.wrap_logger(self.log, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0)),
            alone=self.alone,
            on_change=lambda model, held: self.changes.append((model, held)),
            monotonic=lambda: self.now,
        )

    def tenure(self, model: str = MODEL) -> Tenure:
        """A round that has begun."""
        tenure = self.leases.tenure(model)
        tenure.begin()
        return tenure

    def holds(self, model: str = MODEL) -> bool:
        """Whether it may act."""
        return self.leases.current(model) is not None

    def said(self) -> list[str]:
        """Names of the log lines."""
        return [str(call.kwargs["event"]) for call in self.log.calls]


def a_queued_run(ledger: Ledger, model: str = MODEL) -> Run:
    """A run in the backlog."""
    came = a_drop_event(model=model, id=f"drop:{model}")
    ledger.record([came], NOW)
    proposal = propose(came, a_policy(name=model), [a_drop()])
    assert proposal
    return ledger.enqueue(came, proposal, attempts_max=3, now=NOW)


def test_one_of_many_takes_a_lease_and_the_others_wait_for_its_end(ledger: Ledger) -> None:
    """Whoever comes first."""
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda name: ledger.take_leases(name, [MODEL], lease_s=LEASE_S), "abcdef"))
    ((winner,),) = [leases for leases in taken if leases]
    assert winner.token == 1
    assert ledger.take_leases("late", [MODEL, OTHER], lease_s=LEASE_S) == (Lease(model=OTHER, holder="late", token=1),)
    age(ledger, LEASE_S)
    assert ledger.take_leases("late", [MODEL], lease_s=LEASE_S) == (Lease(model=MODEL, holder="late", token=2),)
    assert ledger.renew_leases([winner], lease_s=LEASE_S) == ()


def test_lease_that_is_renewed_in_time_is_not_taken(ledger: Ledger) -> None:
    """Nor is one that expired and was renewed before anybody looked."""
    (mine,) = ledger.take_leases("a", [MODEL], lease_s=LEASE_S)
    for seconds in (LEASE_S - 0.5, LEASE_S + 5):
        age(ledger, seconds)
        assert ledger.renew_leases([mine], lease_s=LEASE_S) == (mine,)
        assert ledger.take_leases("b", [MODEL], lease_s=LEASE_S) == ()


def test_lease_that_was_given_back_is_taken_at_once_with_a_larger_token(ledger: Ledger) -> None:
    """And who gave it back cannot renew it, nor give it back again."""
    (mine,) = ledger.take_leases("a", [MODEL], lease_s=LEASE_S)
    ledger.release_leases([mine])
    (theirs,) = ledger.take_leases("b", [MODEL], lease_s=LEASE_S)
    assert theirs.token > mine.token
    assert ledger.renew_leases([mine], lease_s=LEASE_S) == ()
    ledger.release_leases([mine])
    assert ledger.renew_leases([theirs], lease_s=LEASE_S) == (theirs,)


def test_owner_of_the_lock_takes_what_a_dead_daemon_left(ledger: Ledger) -> None:
    """A restart on one machine waits for nothing, and then keeps it without asking again."""
    Replica(ledger, "dead").leases.keep()
    successor = Replica(ledger, "successor", alone=True)
    successor.leases.keep()
    successor.now += 10 * LEASE_S
    successor.leases.expire()
    assert successor.holds()
    successor.tenure().confirm()


def test_every_write_of_a_holder_that_was_overtaken_is_refused(ledger: Ledger) -> None:
    """Within the transaction that would write; nothing of it is there afterwards."""
    run = a_queued_run(ledger)
    slow = Replica(ledger, "slow")
    slow.leases.keep()
    fenced = ledger.fenced(slow.tenure())
    assert fenced.take_slot(run, models=[MODEL], maximum=1)
    age(ledger, LEASE_S)
    (_,) = ledger.take_leases("quick", [MODEL], lease_s=LEASE_S)
    writes: list[Any] = [
        lambda: fenced.advance(run, RunState.RUNNING, why="w", now=NOW),
        lambda: fenced.doom(run, RunState.SUPERSEDED, "w"),
        lambda: fenced.take_slot(run, models=[MODEL], maximum=1),
        lambda: fenced.note_champion(MODEL, None, cause="found", now=NOW),
        lambda: fenced.record([a_drop_event(a_drop("2025-12"))], NOW),
    ]
    for write in writes:
        with pytest.raises(LeaseLostError, match="another daemon has taken the lease of model churn"):
            write()
    assert ledger.run(run.key) == run
    assert ledger.known_champion(MODEL) is None
    assert ledger.next_pending(MODEL) is None
    assert advanced(ledger, run, RunState.RUNNING, why="w", now=NOW).state is RunState.RUNNING


def test_round_that_was_begun_under_an_older_lease_cannot_write_under_a_newer_one_of_the_same_daemon(ledger: Ledger) -> None:
    """In between somebody else may have worked."""
    run = a_queued_run(ledger)
    replica = Replica(ledger, "a")
    replica.leases.keep()
    old = replica.tenure()
    replica.now += LEASE_S
    replica.leases.expire()
    replica.leases.keep()
    assert replica.holds()
    with pytest.raises(LeaseLostError):
        ledger.fenced(old).advance(run, RunState.RUNNING, why="w", now=NOW)
    with pytest.raises(LeaseLostError):
        old.confirm()


def test_round_that_was_begun_without_a_lease_can_write_nothing(ledger: Ledger) -> None:
    """There is no token to name."""
    run = a_queued_run(ledger)
    with pytest.raises(LeaseLostError, match="is not held"):
        ledger.fenced(Replica(ledger, "a").tenure()).advance(run, RunState.RUNNING, why="w", now=NOW)


def test_holder_that_cannot_renew_stops_before_anybody_may_take_over(ledger: Ledger) -> None:
    """By its own clock, and with a margin."""
    replica = Replica(ledger, "a")
    replica.leases.keep()
    assert replica.leases.expire() == LEASE_S - MARGIN_S
    tenure = replica.tenure()
    replica.now += LEASE_S - MARGIN_S - 0.1
    assert replica.holds()
    replica.now += 0.1
    assert not replica.holds()
    with pytest.raises(LeaseLostError):
        tenure.confirm()
    replica.leases.expire()
    assert replica.said() == ["lease_acquired", "lease_lost"]
    assert replica.changes == [(MODEL, True), (MODEL, False)]
    age(ledger, LEASE_S - MARGIN_S)
    assert ledger.take_leases("b", [MODEL], lease_s=LEASE_S) == ()


def test_renewal_whose_answer_came_late_counts_from_when_it_was_asked_for(ledger: Ledger) -> None:
    """The database's clock may have begun to count then."""
    replica = Replica(ledger, "a")
    replica.leases.keep()

    def slow(*_: object) -> None:
        replica.now += 5

    event.listen(ledger._engine, "commit", slow)
    replica.leases.keep()
    event.remove(ledger._engine, "commit", slow)
    assert replica.leases.expire() == LEASE_S - MARGIN_S - 5


def test_side_effect_is_allowed_to_a_holder_only_and_never_when_the_ledger_cannot_say(ledger: Ledger) -> None:
    """The deadline alone is not enough: another one may have been quicker."""
    replica = Replica(ledger, "a")
    replica.leases.keep()
    orchestrator, registry = FakeOrchestrator(), FakeRegistry()
    registry.register("k", "2025-03")
    tenure = replica.tenure()
    runs, versions = FencedOrchestrator(orchestrator, tenure), FencedRegistry(registry, tenure)
    runs.submit(RunRequest(name="first", pipeline="training", parameters={}, timeout_s=60))
    ledger.take_leases("b", [MODEL], lease_s=LEASE_S, from_others=True)
    request = RunRequest(name="second", pipeline="training", parameters={}, timeout_s=60)
    effects: list[Any] = [
        lambda: runs.submit(request),
        lambda: runs.cancel("first"),
        lambda: runs.archive("first"),
        lambda: versions.promote(MODEL, "1", expected=""),
        lambda: versions.move_champion(MODEL, "1", expected=""),
        lambda: versions.record_decision(MODEL, "1", {"a": "b"}),
        lambda: versions.describe(MODEL, "1", "card"),
        lambda: versions.keep_report(MODEL, "k", "<p>"),
    ]
    for effect in effects:
        with pytest.raises(LeaseLostError):
            effect()
    assert list(orchestrator.requests) == ["first"]
    assert registry.champion(MODEL) is None
    assert replica.said()[-1] == "lease_lost"


def test_renewed_lease_gives_a_side_effect_all_its_time(ledger: Ledger) -> None:
    """Whoever is about to begin one has just renewed."""
    replica = Replica(ledger, "a")
    replica.leases.keep()
    replica.now += LEASE_S - MARGIN_S - 0.5
    replica.tenure().confirm()
    assert replica.leases.expire() == LEASE_S - MARGIN_S


def test_two_replicas_share_models_and_one_follows_the_other(ledger: Ledger) -> None:
    """Each is told of what it got, and what is given back is there for the other at once."""
    first, second = Replica(ledger, "a", models=(MODEL, OTHER)), Replica(ledger, "b", models=(MODEL, OTHER))
    first.leases.keep()
    second.leases.keep()
    assert (first.holds(), first.holds(OTHER), second.holds(), second.holds(OTHER)) == (True, True, False, False)
    assert (first.leases.complete, second.leases.complete) == (True, False)
    first.leases.release()
    assert not first.holds()
    second.leases.keep()
    assert (second.holds(), second.holds(OTHER)) == (True, True)
    assert first.said() == ["lease_acquired"] * 2 + ["lease_released"] * 2
    assert sorted(second.changes) == [(OTHER, True), (MODEL, True)]


def test_lease_lasts_while_the_ledger_is_away_for_a_moment() -> None:
    """Nothing stops for a restart of the database that takes seconds."""
    away = Away()
    replica = Replica(away, "a")  # type: ignore[arg-type]
    replica.leases.keep()
    away.is_away = True
    replica.now += 3
    with pytest.raises(TemporaryError):
        replica.leases.keep()
    assert replica.holds()
    with pytest.raises(TemporaryError):
        replica.tenure().confirm()


class Away:
    """A ledger that can be unreachable."""

    is_away = False

    def take_leases(self, holder: str, models: list[str], **_: object) -> tuple[Lease, ...]:
        """All that is wanted."""
        return tuple(Lease(model=model, holder=holder, token=1) for model in models)

    def renew_leases(self, held: list[Lease], **_: object) -> tuple[Lease, ...]:
        """All that is held, if anybody can tell."""
        if self.is_away:
            msg = "ledger: gone"
            raise TemporaryError(msg)
        return tuple(held)


def test_history_says_who_holds_a_lease(postgres_url: str) -> None:
    """And whether it has expired, by the database's clock."""
    with Ledger(postgres_url) as ledger:
        history = open_history(postgres_url)
        assert history
        with history:
            assert history.holding(MODEL) is None
            ledger.take_leases("a", [MODEL], lease_s=LEASE_S)
            assert history.holding(MODEL) == Holding(lease=Lease(model=MODEL, holder="a", token=1), is_held=True)
            age(ledger, LEASE_S + 1)
            assert history.holding(MODEL) == Holding(lease=Lease(model=MODEL, holder="a", token=1), is_held=False)


def test_clock_of_a_ledger_on_sqlite_can_be_simulated(tmp_path: Any) -> None:  # noqa: ANN401 - a path
    """It is a function of SQL that a connection is given; a ledger on PostgreSQL asks the server."""
    now = 0.0
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        event.listen(ledger._engine, "checkout", lambda connection, *_: define_clock(connection, lambda: now))
        ledger.take_leases("a", [MODEL], lease_s=LEASE_S)
        now = LEASE_S - 0.1
        assert ledger.take_leases("b", [MODEL], lease_s=LEASE_S) == ()
        now = LEASE_S
        assert len(ledger.take_leases("b", [MODEL], lease_s=LEASE_S)) == 1


def test_slots_are_counted_over_all_daemons(ledger: Ledger) -> None:
    """A run that somebody is submitting counts; one that its own model submits again is no second one."""
    run = a_queued_run(ledger)
    models = [MODEL, OTHER]
    assert ledger.occupied(models) == 0
    assert ledger.take_slot(run, models=models, maximum=1)
    assert ledger.occupied(models) == 1
    assert ledger.take_slot(run, models=models, maximum=1)
    ended = advanced(ledger, run, RunState.CANCELED, why="ann", now=NOW)
    assert ended.state is RunState.CANCELED
    assert ledger.occupied(models) == 0


def test_last_slot_goes_to_one_of_many_that_want_it(ledger: Ledger) -> None:
    """Counting and taking are one transaction."""
    names = [f"model {number}" for number in range(6)]
    queued = [a_queued_run(ledger, name) for name in names]
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda run: ledger.take_slot(run, models=names, maximum=2), queued))
    assert taken.count(True) == 2
