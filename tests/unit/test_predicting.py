"""One prediction job on an orchestrator in memory, crashed and repeated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from tests.builders import a_drop
from tests.fakes import FakeOrchestrator
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Failure, Observation, Phase
from trainer_daemon.policy.predictions import PredictionJob, Receipt
from trainer_daemon.ports import Submission
from trainer_daemon.predicting import Predicting, Progress, Result

OUT = "file:///out/scores.parquet"
JOB = PredictionJob(model="churn", version="3", dataset=a_drop(), code_digest="d", data={})
FIRST, SECOND = (JOB.run_name(OUT, attempt) for attempt in (1, 2))
BAD = Failure(attempt=1, step="predict", kind="bad_drop", reason="the columns do not fit")


@dataclass
class World:
    """Orchestrator, MLflow and storage; `on_pause` says what happens while somebody waits."""

    orchestrator: FakeOrchestrator = field(default_factory=FakeOrchestrator)
    receipt: Receipt | None = None
    failure: Failure | None = None
    stored: str | None = None
    on_pause: Callable[[], None] = lambda: None
    submissions: list[tuple[str, Submission]] = field(default_factory=list)
    looks: list[Observation] = field(default_factory=list)

    def predictions(self, experiment: str, run_key: str) -> tuple[Receipt | None, Failure | None]:
        """What is on MLflow under this key."""
        assert (experiment, run_key) == ("churn-predictions", JOB.key(OUT))
        return self.receipt, self.failure

    def succeed(self) -> None:
        """The step writes the file, then its receipt, and ends."""
        self.stored = "sha256:1"
        name = max(self.orchestrator.requests)
        self.receipt = Receipt(run=name, uri=OUT, checksum="sha256:1", rows=10, labelled=3)
        self.orchestrator.phases[name] = Phase.SUCCEEDED

    def end(self, phase: Phase, failure: Failure | None = None) -> Callable[[], None]:
        """The run that was begun last comes to its end."""

        def end() -> None:
            self.failure = failure
            self.orchestrator.phases[max(self.orchestrator.requests)] = phase

        return end

    def predict(self) -> Result:
        """The command, once."""
        predicting = Predicting(
            JOB,
            OUT,
            orchestrator=self.orchestrator,
            receipts=self,
            checksum_of=lambda uri: self.stored if uri == OUT else None,
            pause=lambda _: self.on_pause(),
        )
        progress = Progress(
            on_submitted=lambda name, submission: self.submissions.append((name, submission)), on_look=self.looks.append
        )
        return predicting.bring_about({"tracking_uri": "sqlite:///m.db"}, 60.0, progress)


@pytest.fixture
def world() -> World:
    """Nothing has happened yet; whoever waits sees the run succeed."""
    world = World()
    world.on_pause = world.succeed
    return world


def test_predictions_are_made_once_and_then_found(world: World) -> None:
    """The second call starts nothing and says so."""
    first, second = world.predict(), world.predict()
    assert (first.existed, first.adopted, second.existed) == (False, False, True)
    assert first.receipt == second.receipt
    assert list(world.orchestrator.requests) == [FIRST]


def test_request_pins_data_version_and_place(world: World) -> None:
    """Everything the step needs; nothing is looked up later."""
    world.predict()
    request = world.orchestrator.requests[FIRST]
    assert (request.pipeline, request.timeout_s) == ("inference", 60.0)
    expected = {"model": "churn", "version": "3", "out": OUT, "run_name": FIRST, "attempt": 1, "run_key": JOB.key(OUT)}
    assert expected.items() <= request.parameters.items()
    drop = JOB.dataset
    assert request.parameters["drops"] == [
        {"uri": drop.uri, "generation": drop.generation, "checksum": drop.checksum, "period": drop.period}
    ]


def test_call_that_was_killed_is_taken_up(world: World) -> None:
    """The run goes on without it; the next call follows it."""

    def killed() -> None:
        raise SystemExit

    world.on_pause = killed
    with pytest.raises(SystemExit):
        world.predict()
    world.on_pause = world.succeed
    assert world.predict().adopted
    assert list(world.orchestrator.requests) == [FIRST]


def test_run_that_was_killed_is_begun_again_under_its_name(world: World) -> None:
    """It left no result, so its name is free."""
    world.on_pause = world.end(Phase.VANISHED)
    with pytest.raises(PermanentError, match="was killed, nobody knows by whom; the same command begins it again"):
        world.predict()
    world.on_pause = world.succeed
    assert not world.predict().adopted
    assert list(world.orchestrator.requests) == [FIRST]


@pytest.mark.parametrize("stored", [None, "sha256:2"])
def test_predictions_that_are_gone_or_replaced_are_made_again(world: World, stored: str | None) -> None:
    """A run that has succeeded proves nothing about the file of now."""
    world.predict()
    world.stored = stored
    result = world.predict()
    assert not result.existed
    assert list(world.orchestrator.requests) == [FIRST, SECOND]
    assert world.orchestrator.requests[SECOND].parameters["attempt"] == 2


def test_failed_run_is_tried_again_by_the_next_call(world: World) -> None:
    """Under the next number; the reason is the step's own."""
    world.on_pause = world.end(Phase.FAILED, replace(BAD, kind="error", reason="MLflow is away"))
    with pytest.raises(PermanentError, match=f"run {FIRST} failed: MLflow is away; the same command tries again"):
        world.predict()
    world.on_pause = world.succeed
    assert world.predict().receipt.run == SECOND


def test_refused_data_is_not_tried_again(world: World) -> None:
    """The same bytes would be refused again: the second call starts nothing and says the same."""
    world.on_pause = world.end(Phase.FAILED, BAD)
    for _ in range(2):
        with pytest.raises(PermanentError, match=r"^the data cannot be predicted: the columns do not fit$"):
            world.predict()
    assert list(world.orchestrator.requests) == [FIRST]


def test_interrupt_cancels_the_run_of_this_call(world: World) -> None:
    """Whoever presses Ctrl-C wants it to stop."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    world.on_pause = interrupted
    with pytest.raises(PermanentError, match=f"run {FIRST} was cancelled"):
        world.predict()
    assert world.orchestrator.phases[FIRST] is Phase.CANCELED
    world.on_pause = world.succeed
    assert world.predict().receipt.run == SECOND


def test_interrupt_leaves_the_run_of_another_call_alone(world: World) -> None:
    """It was begun by somebody else, who still waits."""

    def killed() -> None:
        raise SystemExit

    def interrupted() -> None:
        raise KeyboardInterrupt

    world.on_pause = killed
    with pytest.raises(SystemExit):
        world.predict()
    world.on_pause = interrupted
    with pytest.raises(PermanentError, match="goes on: it was begun by somebody else"):
        world.predict()
    assert world.orchestrator.phases[FIRST] is Phase.RUNNING


@dataclass
class Away(FakeOrchestrator):
    """Does not answer the first look after something was submitted."""

    was_away: bool = False

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """See `Orchestrator`."""
        if self.requests and not self.was_away:
            self.was_away = True
            message = "nobody answers"
            raise TemporaryError(message)
        return super().observe(names)


def test_look_that_fails_is_repeated(world: World) -> None:
    """An orchestrator that is away for a moment does not end the wait."""
    world.orchestrator = Away()
    assert world.predict().receipt.run == FIRST
    assert [(seen.phase, seen.reason) for seen in world.looks] == [(Phase.UNKNOWN, "nobody answers"), (Phase.SUCCEEDED, "")]
