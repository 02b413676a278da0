"""Real reconciler, policy and ledger against orchestrator and registry in memory; the process dies at every possible place."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.builders import MODEL, NOW, a_drop, a_drop_event, a_policy, an_evaluation
from tests.emulators.fixtures import on_every_database
from tests.fakes import FakeOrchestrator, FakeRegistry
from trainer_daemon.adapters.ledger import Ledger, Letter, Notices
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.observer import Slots
from trainer_daemon.policy.actions import Wait
from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.notices import Addressee, NoticeKind
from trainer_daemon.policy.observations import Failure, Phase
from trainer_daemon.policy.plan import Proposal
from trainer_daemon.policy.runs import RunState
from trainer_daemon.ports import RunRequest, Submission
from trainer_daemon.reconciler import Model, Reconciler


class Crash(BaseException):
    """The process is gone; nothing may catch this."""


@dataclass
class Countdown:
    """Crashes at the n-th effect or write, before it or after it."""

    left: int = -1
    after: bool = False

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a call that has an effect."""

        @wraps(call)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any call
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Crash
            value = call(*args, **kwargs)
            if self.left == 0:
                raise Crash
            return value

        return wrapped


class Mortal:
    """A part whose effects may be the process's last."""

    def __init__(self, part: object, countdown: Countdown, effects: set[str]) -> None:
        self._part, self._countdown, self._effects = part, countdown, effects

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute
        attribute = getattr(self._part, name)
        return self._countdown.around(attribute) if name in self._effects else attribute


WRITES = {
    "condemn",
    "doom",
    "settle",
    "enqueue",
    "revive",
    "advance",
    "record_decision",
    "promoted",
    "note_champion",
    "intervened",
    "dismiss",
}
EFFECTS = {"submit", "cancel", "archive", "record_decision", "describe", "keep_report", "promote", "move_champion"}


@dataclass
class World:
    """Everything that outlives a crash, and a clock."""

    url: str
    orchestrator: FakeOrchestrator = field(default_factory=FakeOrchestrator)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    now: datetime = NOW
    policy: Any = field(default_factory=a_policy)
    log: structlog.testing.CapturingLogger = field(default_factory=structlog.testing.CapturingLogger)
    notices: Notices = field(default_factory=lambda: Notices([Addressee(name="ops", kinds=frozenset(NoticeKind))]))
    letters: list[Letter] = field(default_factory=list)

    def clock(self) -> datetime:
        """Ticks at every look."""
        self.now += timedelta(seconds=1)
        return self.now

    def arrive(self, *drops: DatasetVersion) -> None:
        """Drops are recorded."""
        with Ledger(self.url) as ledger:
            ledger.record([a_drop_event(drop) for drop in drops], self.now)

    def reconciler(self, ledger: Ledger, countdown: Countdown) -> Reconciler:
        """A new process."""
        mortal: Any = Mortal(ledger, countdown, WRITES)
        orchestrator: Any = Mortal(self.orchestrator, countdown, EFFECTS)
        registry: Any = Mortal(self.registry, countdown, EFFECTS)
        return Reconciler(
            model=Model(policy=self.policy, parameters={}, pipeline="training", run_timeout_s=60),
            ledger=mortal,
            orchestrator=orchestrator,
            registry=registry,
            slots=Slots(ledger, 1, [MODEL]),
            clock=self.clock,
            log=structlog.wrap_logger(self.log, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0)),
        )

    def live(self, countdown: Countdown | None = None) -> None:
        """One life of the process: until idle, or until it crashes."""
        countdown = countdown or Countdown()
        with Ledger(self.url, self.notices) as ledger:
            reconciler = self.reconciler(ledger, countdown)
            for _ in range(300):
                wait = reconciler.step()
                if wait is None:
                    continue
                if wait == Wait():
                    return
                self.proceed()
            pytest.fail("the reconciler does not come to rest")

    def proceed(self) -> None:
        """Whatever runs succeeds, and registers a version that is better than the champion."""
        for name, phase in list(self.orchestrator.phases.items()):
            if phase is Phase.RUNNING:
                self.finish(self.orchestrator.requests[name])

    def finish(self, request: RunRequest) -> None:
        """Do as the pipeline does."""
        key, version = request.parameters["run_key"], request.parameters["champion_version"]
        self.registry.register(key, request.parameters["drops"][-1]["period"])
        evaluation = an_evaluation(run_key=key, attempt=request.parameters["attempt"], champion_version=version)
        self.registry.evaluations[key] = evaluation if version else replace(evaluation, champion={})
        self.orchestrator.phases[request.name] = Phase.SUCCEEDED

    def events(self) -> set[str]:
        """Names of the log lines."""
        return {str(call.kwargs["event"]) for call in self.log.calls}

    def told(self) -> list[str]:
        """What somebody is notified of, in order, and is told to nobody twice."""
        with Ledger(self.url) as ledger:
            outbox = ledger.outbox()
            while isinstance(letter := outbox.take("ops", now=self.now, until=self.now + timedelta(days=1)), Letter):
                outbox.delivered(letter, self.now)
                self.letters.append(letter)
        assert len({letter.notice.id for letter in self.letters}) == len(self.letters)
        return [f"{letter.notice.kind} {letter.notice.data['period']}" for letter in self.letters]

    def states(self) -> dict[str, RunState]:
        """State by period."""
        with Ledger(self.url) as ledger:
            keys = list(self.registry.versions) + [
                request.parameters["run_key"] for request in self.orchestrator.requests.values()
            ]
            return {run.period: run.state for run in (ledger.run(key) for key in dict.fromkeys(keys))}


@pytest.fixture
def world(usual_ledger_url: str) -> World:
    """An empty world."""
    return World(usual_ledger_url)


MONTHS = ("2025-03", "2025-05", "2025-06")


def crashes() -> Iterator[tuple[str, int, bool]]:
    """Before and after each of the effects and writes of three months, and a few beyond; some on PostgreSQL, too."""
    for number in range(1, 40):
        yield "sqlite", number, False
        yield "sqlite", number, True
        if number % 10 == 0:
            yield "postgresql", number, number % 20 == 0


@pytest.mark.parametrize(("usual_ledger_url", "number", "after"), list(crashes()), indirect=["usual_ledger_url"])
def test_crash_before_or_after_any_effect_loses_nothing_and_repeats_nothing(world: World, number: int, after: bool) -> None:  # noqa: FBT001 - a parameter
    """Three months, one crash, one restart: one orchestrator run, one version and one promotion each, in order."""
    world.arrive(*(a_drop(month) for month in MONTHS))
    try:
        world.live(Countdown(left=number, after=after))
    except Crash:
        world.live()
    assert world.states() == dict.fromkeys(MONTHS, RunState.PROMOTED)
    assert len(world.orchestrator.requests) == 3
    assert world.registry.moves == [("", "1"), ("1", "2"), ("2", "3")]
    assert world.registry.aliases == {"champion": "3", "previous-champion": "2"}
    assert [world.registry.cards[version].partition(" ")[0] for version in "123"] == ["Promoted"] * 3
    assert ["<strong>Promoted: " in page for page in world.registry.reports.values()] == [True] * 3
    assert "champion_moved_externally" not in world.events()
    assert world.told() == [f"candidate_promoted {month}" for month in MONTHS]


def test_crash_at_every_step_of_every_life_still_ends(world: World) -> None:
    """Each life has room for the longest action, a promotion with its five calls, and dies before the next call."""
    world.arrive(*(a_drop(month) for month in MONTHS))
    for _ in range(200):
        try:
            world.live(Countdown(left=6, after=False))
        except Crash:
            world.proceed()
            continue
        break
    assert world.states() == dict.fromkeys(MONTHS, RunState.PROMOTED)
    assert len(world.registry.moves) == 3


def test_run_that_was_submitted_before_a_crash_is_adopted(world: World) -> None:
    """The log says so, instead of telling of a second submission."""
    world.arrive(a_drop())
    with pytest.raises(Crash):
        world.live(Countdown(left=3, after=True))
    assert len(world.orchestrator.requests) == 1
    assert not {"run_submitted", "run_adopted"} & world.events()
    world.live()
    assert "run_adopted" in world.events()
    assert "run_submitted" not in world.events()


@on_every_database
def test_run_of_replaced_bytes_is_never_promoted_even_when_it_finished_first(world: World) -> None:
    """Its late result changes nothing."""
    world.arrive(a_drop())
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while not world.orchestrator.requests:
            reconciler.step()
        world.proceed()
        while ledger.live_runs(MODEL)[0].state is not RunState.TRAINED:
            reconciler.step()
    world.arrive(a_drop(content="b", generation="2"))
    world.live()
    with Ledger(world.url) as ledger:
        first, second = (ledger.run(key) for key in world.registry.versions)
    assert (first.state, second.state) == (RunState.SUPERSEDED, RunState.PROMOTED)
    assert world.registry.moves == [("", "2")]
    assert world.orchestrator.archived == [first.name]


def test_state_that_is_not_known_is_said_once(world: World) -> None:
    """However often the run is looked at; another one is said again."""
    world.arrive(a_drop())
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while not world.orchestrator.requests:
            reconciler.step()
        (name,) = world.orchestrator.requests
        world.orchestrator.phases[name] = Phase.UNKNOWN
        for state in ("FOO", "FOO", "BAR"):
            world.orchestrator.reasons[name] = state
            assert reconciler.step() == Wait(polling=True)
    told = [call.kwargs["reason"] for call in world.log.calls if call.kwargs["event"] == "run_state_unknown"]
    assert told == ["FOO", "BAR"]


def test_champion_that_moves_between_decision_and_promotion_is_respected(world: World) -> None:
    """The compare-and-set refuses, the same version is evaluated against the new champion, and no second one is made."""
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    original = world.registry.promote

    def promote(model: str, version: str, *, expected: str) -> str:
        if version == "2" and "by hand" not in world.registry.tags:
            world.registry.tags["by hand"] = {}
            world.registry.versions["foreign"] = "9"
            world.registry.aliases["champion"] = "9"
        return original(model, version, expected=expected)

    world.registry.promote = promote  # type: ignore[method-assign]
    world.live()
    pipelines = Counter(request.pipeline for request in world.orchestrator.requests.values())
    assert pipelines == {"training": 2, "evaluation": 1}
    again = next(request for request in world.orchestrator.requests.values() if request.pipeline == "evaluation")
    assert (again.parameters["candidate_version"], again.parameters["champion_version"]) == ("2", "9")
    assert world.registry.moves == [("", "1"), ("9", "2")]


@on_every_database
def test_same_bytes_that_come_back_after_a_crash_in_the_middle_of_ending_their_run_are_trained(world: World) -> None:
    """A, then B, a crash after A's run was cancelled, then A again."""
    world.arrive(a_drop())
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while not world.orchestrator.requests:
            reconciler.step()
    world.arrive(a_drop(content="b", generation="2"))
    with pytest.raises(Crash):
        world.live(Countdown(left=2, after=True))
    assert Phase.CANCELED in world.orchestrator.phases.values()
    world.arrive(a_drop(generation="3"))
    world.live()
    with Ledger(world.url) as ledger:
        (key,) = world.registry.versions
        run = ledger.run(key)
    assert (run.drop.checksum, run.state, run.attempt) == (a_drop().checksum, RunState.PROMOTED, 2)


@on_every_database
def test_bad_month_of_a_window_is_left_out_of_the_next_one(world: World) -> None:
    """Although the next month's run was queued with it."""
    world.policy = a_policy(window_months=2)
    world.arrive(a_drop("2025-03"), a_drop("2025-04"), a_drop("2025-05"))
    original = world.finish

    def finish(request: RunRequest) -> None:
        if request.parameters["drops"][-1]["period"] == "2025-04":
            failure = Failure(attempt=1, step="load_and_preprocess_data", kind="bad_drop", reason="no column Churn")
            world.registry.failures[request.parameters["run_key"]] = failure
            world.orchestrator.phases[request.name] = Phase.FAILED
            return
        original(request)

    world.finish = finish  # type: ignore[method-assign]
    world.live()
    trained = [[drop["period"] for drop in request.parameters["drops"]] for request in world.orchestrator.requests.values()]
    assert trained == [["2025-03"], ["2025-03", "2025-04"], ["2025-03", "2025-05"]]


@on_every_database
def test_corrected_month_gives_every_waiting_window_that_held_it_another_run(world: World) -> None:
    """Unchanged drops do not lose theirs."""
    world.policy = a_policy(window_months=2)
    months = ("2025-02", "2025-03", "2025-04", "2025-05")
    world.arrive(*(a_drop(month) for month in months))
    with Ledger(world.url) as ledger:
        reconciler = world.reconciler(ledger, Countdown())
        while len(ledger.live_runs(MODEL)) < len(months):
            reconciler.step()
    world.arrive(a_drop("2025-03", content="b", generation="2"))
    world.live()
    trained = {
        tuple(f"{d['period']}{d['checksum']}" for d in request.parameters["drops"])
        for request in world.orchestrator.requests.values()
    }
    assert ("2025-03sha256:b", "2025-04sha256:a") in trained
    assert {drops[-1][:7] for drops in trained} == set(months)


@on_every_database
def test_run_of_a_model_that_is_no_longer_configured_occupies_no_slot(world: World) -> None:
    """Somebody renamed it while its run was under way."""
    gone = replace(a_drop_event(a_drop("2025-01")), id="other", model="other")
    with Ledger(world.url) as ledger:
        ledger.record([gone], NOW)
        proposal = Proposal(drops=(a_drop("2025-01"),), key="other")
        ledger.advance(ledger.enqueue(gone, proposal, attempts_max=1, now=NOW), RunState.RUNNING, why="w", now=NOW)
    world.arrive(a_drop())
    world.live()
    assert world.registry.moves == [("", "1")]


def test_promotion_that_the_registry_refuses_fails_the_run_and_the_next_one_goes_on(world: World) -> None:
    """A version that was deleted by hand, for instance."""
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    original = world.registry.promote

    def promote(model: str, version: str, *, expected: str) -> str:
        if version == "1":
            message = "mlflow: RESOURCE_DOES_NOT_EXIST"
            raise PermanentError(message)
        return original(model, version, expected=expected)

    world.registry.promote = promote  # type: ignore[method-assign]
    world.live()
    assert world.states() == {"2025-03": RunState.FAILED, "2025-05": RunState.PROMOTED}


@on_every_database
def test_bytes_that_arrive_just_before_the_alias_moves_come_first(world: World) -> None:
    """They were in the ledger, so the older ones must not be promoted."""
    world.arrive(a_drop())
    original = world.registry.champion

    def champion(model: str) -> object:
        with Ledger(world.url) as ledger:
            if ledger.live_runs(MODEL) and ledger.live_runs(MODEL)[0].decision is not None:
                world.arrive(a_drop(content="b", generation="2"))
        return original(model)

    world.registry.champion = champion  # type: ignore[method-assign, assignment]
    world.live()
    assert world.registry.moves == [("", "2")]


def test_lost_ledger_adopts_what_was_decided(world: World, tmp_path: Path) -> None:
    """No version, no promotion and no tag is made again."""
    drops = [a_drop(month) for month in MONTHS]
    world.arrive(*drops)
    world.live()
    moves, tags = list(world.registry.moves), {version: dict(found) for version, found in world.registry.tags.items()}
    world.url = f"sqlite:///{tmp_path / 'another.db'}"
    world.arrive(*drops)
    world.live()
    assert world.states() == dict.fromkeys(MONTHS, RunState.PROMOTED)
    assert (world.registry.moves, world.registry.tags) == (moves, tags)
    assert len(world.orchestrator.requests) == 3


def test_registry_that_lost_its_champion_does_not_look_like_a_first_model(world: World) -> None:
    """Nobody to be better than is no evidence."""
    world.arrive(a_drop("2025-03"))
    world.live()
    del world.registry.aliases["champion"]
    world.arrive(a_drop("2025-05"))
    world.live()
    assert world.states()["2025-05"] is RunState.REJECTED
    assert world.registry.moves == [("", "1")]


def test_bad_drop_does_not_block_the_next_one_and_is_not_retried(world: World) -> None:
    """One attempt, one sentence."""
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    original = world.finish

    def finish(request: RunRequest) -> None:
        if request.parameters["drops"][0]["period"] == "2025-03":
            failure = Failure(attempt=1, step="load_and_preprocess_data", kind="bad_drop", reason="no column Churn")
            world.registry.failures[request.parameters["run_key"]] = failure
            world.orchestrator.phases[request.name] = Phase.FAILED
            return
        original(request)

    world.finish = finish  # type: ignore[method-assign]
    world.live()
    assert world.states() == {"2025-03": RunState.QUARANTINED, "2025-05": RunState.PROMOTED}
    assert len(world.orchestrator.requests) == 2


def test_failing_run_is_tried_as_often_as_allowed_then_the_next_one_goes(world: World) -> None:
    """Each attempt under a name of its own."""
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    original = world.finish

    def finish(request: RunRequest) -> None:
        if request.parameters["drops"][0]["period"] == "2025-03":
            world.orchestrator.phases[request.name] = Phase.FAILED
            return
        original(request)

    world.finish = finish  # type: ignore[method-assign]
    world.live()
    assert world.states() == {"2025-03": RunState.FAILED, "2025-05": RunState.PROMOTED}
    assert len(world.orchestrator.requests) == 4


def test_registry_that_is_down_moves_nothing(world: World) -> None:
    """The error goes up to the loop that backs off; the next look finds everything as it was."""
    world.arrive(a_drop())
    world.live()
    world.arrive(a_drop("2025-05"))

    def unreachable(*_: object, **__: object) -> str:
        message = "mlflow: connection refused"
        raise TemporaryError(message)

    promote, world.registry.promote = world.registry.promote, unreachable  # type: ignore[method-assign]
    with pytest.raises(TemporaryError):
        world.live()
    assert world.states()["2025-05"] is RunState.TRAINED
    world.registry.promote = promote  # type: ignore[method-assign]
    world.live()
    assert world.states()["2025-05"] is RunState.PROMOTED
    assert world.registry.moves == [("", "1"), ("1", "2")]


def test_submission_that_is_refused_fails_the_run_for_good(world: World) -> None:
    """A refusal is not retried."""

    def refuse(request: RunRequest) -> Submission:  # noqa: ARG001 - the role's signature
        message = "the server refused: 403"
        raise PermanentError(message)

    world.arrive(a_drop())
    world.orchestrator.submit = refuse  # type: ignore[method-assign]
    world.live()
    with Ledger(world.url) as ledger:
        assert ledger.failed_since(NOW) == 1
