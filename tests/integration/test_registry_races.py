"""Two daemons on one MLflow registry, and hands that move its alias: real MLflow, a process of its own for each daemon."""

import fcntl
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.builders import MODEL, a_drop, an_intervention
from tests.integration.cli.conftest import Call, call
from tests.integration.registry_contract import Left, an_evaluation
from tests.integration.test_reconciler import Countdown, World
from tests.integration.test_registry import MlflowAuthor
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.config import MlflowSettings
from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.observations import Phase
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.ports import RunRequest

if TYPE_CHECKING:
    import subprocess

__all__ = ["call"]

WAITS_S = 1.5
"""Who does not wait has come to an end by then, on any machine but the busiest."""
LOSSES = {"1": 0.6, "2025-05": 0.5, "2025-06": 0.4}
"""By version, or by the month that makes one: June is better than May."""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> str:
    """One MLflow for all."""
    return f"sqlite:///{shutil.copy(mlflow_database, tmp_path_factory.mktemp('races'))}"


@pytest.fixture(scope="module")
def author(uri: str, author_process: "subprocess.Popen[str]") -> MlflowAuthor:
    """Writes what pipelines and people write."""
    return MlflowAuthor(author_process, uri, f"{uri.removeprefix('sqlite:///')}.artifacts")


@pytest.fixture(scope="module")
def registries(uri: str) -> Iterator[tuple[MlflowRegistry, MlflowRegistry]]:
    """As two daemons have them."""
    settings = MlflowSettings.model_construct(tracking_uri=uri, call_timeout_s=600.0)
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[structlog.testing.LogCapture()]).bind()
    made = (MlflowRegistry(settings, log=log, idle_s=60.0), MlflowRegistry(settings, log=log, idle_s=60.0))
    yield made
    for each in made:
        each.close()


_authors_turn = threading.Lock()


class Together:
    """A registry whose first promotion is asked for together with that of another one: both have looked, neither has moved."""

    def __init__(self, registry: MlflowRegistry, moment: threading.Barrier) -> None:
        self._registry = registry
        self._moments = [moment]

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Wait for the other one."""
        if self._moments:
            self._moments.pop().wait(timeout=600)
        return self._registry.promote(model, version, expected=expected)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any call
        return getattr(self._registry, name)


@dataclass
class RealWorld(World):
    """A daemon's world whose registry is MLflow.

    Attributes:
        author: Does what the pipeline does.
        losses: Log loss of every version, by every daemon's runs.
    """

    author: Any = None
    losses: dict[str, float] = field(default_factory=dict)

    def finish(self, request: RunRequest) -> None:
        """Evaluate against the pinned champion, and register unless it is there."""
        parameters = request.parameters
        period, champion = parameters["drops"][-1]["period"], parameters["champion_version"]
        scored = {"version": champion, "metrics": {"log_loss": self.losses[champion], "roc_auc": 0.8}} if champion else None
        evaluation = an_evaluation(
            parameters["run_key"],
            attempt=parameters["attempt"],
            candidate={"metrics": {"log_loss": LOSSES[period], "roc_auc": 0.8}},
            champion=scored,
        )
        left = Left(run_key=parameters["run_key"], period=period, evaluation=evaluation)
        with _authors_turn:
            if "candidate_version" in parameters:
                self.author.rewrite(MODEL, left)
            else:
                self.losses[self.author.register(MODEL, left)] = LOSSES[period]
        self.orchestrator.phases[request.name] = Phase.SUCCEEDED

    def step_until(self, state: RunState, *, decided: bool) -> None:
        """Until the only run is there."""
        with Ledger(self.url) as ledger:
            reconciler = self.reconciler(ledger, Countdown())
            for _ in range(100):
                live = ledger.live_runs(MODEL)
                if live and live[0].state is state and (live[0].decision is not None) == decided:
                    return
                if reconciler.step() is not None:
                    self.proceed()
        pytest.fail(f"no run becomes {state}")

    def runs(self) -> tuple[Run, ...]:
        """Everything there is."""
        history = open_history(self.url)
        assert history
        with history:
            return history.runs(MODEL)


@pytest.fixture
def champion(author: MlflowAuthor) -> str:
    """A version that is champion, older than all months."""
    version = author.register(MODEL, Left(run_key=f"{len(_begun):064d}", period="2025-01"))
    _begun.append(version)
    author.set_alias(MODEL, "champion", version)
    return version


_begun: list[str] = []


def a_world(path: Path, registry: MlflowRegistry | Together, author: MlflowAuthor, losses: dict[str, float]) -> RealWorld:
    """One daemon's."""
    return RealWorld(f"sqlite:///{path}", registry=registry, author=author, losses=losses)  # type: ignore[arg-type]


@pytest.mark.parametrize("race", range(2))
def test_two_daemons_race_and_the_better_one_is_champion(
    tmp_path: Path, registries: tuple[MlflowRegistry, MlflowRegistry], author: MlflowAuthor, champion: str, race: int
) -> None:
    """Both have decided to promote against the same champion; one is first, the other is evaluated again, against it."""
    losses = {champion: LOSSES["1"]}
    months = (fresh("2025-05", race), fresh("2025-06", race))
    moment = threading.Barrier(2)
    worlds = [a_world(tmp_path / f"{n}.db", Together(registries[n], moment), author, losses) for n in (0, 1)]
    for world, drop in zip(worlds, months, strict=True):
        world.arrive(drop)
        world.step_until(RunState.TRAINED, decided=True)
    (may,), (june,) = (world.runs() for world in worlds)
    assert [run.decision.champion_version for run in (may, june) if run.decision] == [champion] * 2
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(RealWorld.live, worlds))
    assert author.alias(MODEL, "champion") == june.model_version
    told = Counter(str(each.kwargs["event"]) for world in worlds for each in world.log.calls)
    assert (told["promotion_refused"], told["run_reevaluated"]) == (1, 1)
    (may,), (june,) = (world.runs() for world in worlds)
    assert june.state is RunState.PROMOTED
    loser = may if may.state is RunState.REJECTED else june
    assert loser.decision
    assert loser.decision.champion_version == (june if loser is may else may).model_version
    previous = author.alias(MODEL, "previous-champion")
    assert previous == (champion if loser is may else may.model_version)


def test_alias_in_a_file_is_compared_and_set_by_one_daemon_at_a_time(
    uri: str, registries: tuple[MlflowRegistry, MlflowRegistry], author: MlflowAuthor, champion: str
) -> None:
    """Who comes second waits, and compares with what the first one has left."""
    candidate = author.register(MODEL, Left(run_key="e" * 64, period="2025-07"))
    with ThreadPoolExecutor(1) as thread:
        with Path(f"{uri.removeprefix('sqlite:///')}.lock").open("w") as first:
            fcntl.flock(first, fcntl.LOCK_EX)
            second = thread.submit(registries[0].promote, MODEL, candidate, expected=champion)
            with pytest.raises(TimeoutError):
                second.result(timeout=WAITS_S)
            author.set_alias(MODEL, "champion", "1")
        assert second.result(timeout=600) == "1"
    assert author.alias(MODEL, "champion") == "1"


def fresh(period: str, race: int) -> DatasetVersion:
    """The same month again with other bytes, so that every race has runs of its own."""
    return a_drop(period, content=f"race-{race}")


def test_two_daemons_on_one_ledger_promote_once(
    tmp_path: Path, registries: tuple[MlflowRegistry, MlflowRegistry], author: MlflowAuthor, champion: str
) -> None:
    """Whoever is second finds that the run was moved, or does once more what was done; the ledger has it once."""
    losses = {champion: LOSSES["1"]}
    first = a_world(tmp_path / "one.db", registries[0], author, losses)
    first.arrive(fresh("2025-06", 9))
    first.step_until(RunState.TRAINED, decided=True)
    second = a_world(tmp_path / "one.db", registries[1], author, losses)
    second.orchestrator = first.orchestrator  # both see a run that only one of them has submitted
    together = threading.Barrier(2)

    def live(world: RealWorld) -> None:
        together.wait()
        world.live()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(live, (first, second)))
    (run,) = first.runs()
    history = open_history(first.url)
    assert history
    with history:
        promoted = [move for move in history.transitions(run.key) if move.to_state == RunState.PROMOTED]
        reigns = [(reign.version, reign.cause) for reign in history.reigns(MODEL)]
    assert (run.state, len(promoted)) == (RunState.PROMOTED, 1)
    assert reigns == [(champion, "found"), (run.model_version, "promoted")]
    assert author.alias(MODEL, "champion") == run.model_version


def test_alias_that_a_hand_moves_is_noted_respected_and_explained_and_a_person_rolls_it_back(
    tmp_path: Path,
    registries: tuple[MlflowRegistry, MlflowRegistry],
    author: MlflowAuthor,
    champion: str,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the registry to the words that a person reads, and back."""
    world = a_world(tmp_path / "ledger.db", registries[0], author, {champion: LOSSES["1"]})
    world.live()
    foreign = author.version(MODEL, "", Left(run_key="", period=""))
    author.set_alias(MODEL, "champion", foreign)
    world.live()
    (line,) = [each.kwargs for each in world.log.calls if each.kwargs["event"] == "champion_moved_externally"]
    assert (line["champion_version"], line["previous_version"]) == (foreign, champion)
    assert author.alias(MODEL, "champion") == foreign
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trainer.toml").write_text(
        'ledger = "sqlite:///ledger.db"\n[[models]]\nname = "churn"\nbucket = "file:///drops"\n'
    )
    assert f"version {foreign} was found to be champion, put there outside the daemon" in call("explain", foreign).out
    assert f"version {champion} stopped being champion: version {foreign} was put there outside" in call("explain", champion).out
    with Ledger(world.url) as ledger:
        ledger.ask(an_intervention(version=champion, replaces=foreign))
    world.live()
    assert (author.alias(MODEL, "champion"), author.alias(MODEL, "previous-champion")) == (champion, foreign)
    assert author.tags(MODEL, foreign)["trainer.rolled_back"].startswith("rolled back by ann: scores are off (")
    told = call("explain", foreign).out
    assert f"version {champion} became champion again: version {foreign} was rolled back by ann" in told
    assert f"version {foreign} was rolled back by ann: scores are off" in call("history").out
