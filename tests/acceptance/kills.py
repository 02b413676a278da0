"""SIGKILL for whatever plays a part, at random moments, while drops arrive; and what has to be true afterwards."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from tests.acceptance.harness import Workspace, pause, wait_until
from tests.acceptance.registry_view import RegistryView

PATIENCE_S = 900.0
_BEHIND = 4
"""So many more drops than have been decided on are there before a kill, and each kill may have taken a line of the log."""
DECIDED = {"PROMOTED", "REJECTED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that can be killed, and started again."""

    kill: Callable[[], object]
    start: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Kills of some parts while drops arrive.

    Attributes:
        victims: Names of parts in the order in which they are killed.
        upload: Puts the drop of a month, `2025-03`, into the bucket.
        away: The part without which nothing can be uploaded.
        seed: Of the moments.
    """

    workspace: Workspace
    parts: Mapping[str, Part]
    victims: Sequence[str]
    upload: Callable[[str], object]
    away: str = ""
    seed: int = 0

    def blow(self, months: Sequence[str]) -> None:
        """Between two kills some drops arrive, before one, and while its victim is away; then everything comes to rest.

        Args:
            months: In their order: one that is older than a run whose submission nobody knows of yet would be decided first, and
                that run be evaluated again, for which there is no light pipeline.
        """
        moments = random.Random(self.seed)
        bounds = [number * len(months) // len(self.victims) for number in range(len(self.victims) + 1)]
        for number, victim in enumerate(self.victims):
            batch = months[bounds[number] : bounds[number + 1]]
            half = len(batch) if victim == self.away else len(batch) // 2
            self._upload(batch[:half])
            self._keep_pace(bounds[number] - number - _BEHIND)
            pause(moments.uniform(0.05, 1.5))
            self.parts[victim].kill()
            pause(moments.uniform(0.0, 1.0))
            self._upload(batch[half:])
            self.parts[victim].start()
        wait_until(lambda: self._settled(len(months)), "every drop is decided on", PATIENCE_S, every_s=4.0)

    def _upload(self, months: Sequence[str]) -> None:
        for month in months:
            self.upload(month)

    def _keep_pace(self, drops: int) -> None:
        """Kills are spread over the work, however slow the machine is."""
        wait_until(lambda: self._told() >= drops, f"{drops} drops are decided on", PATIENCE_S, every_s=0.2)

    def _told(self) -> int:
        """How many drops the log says were decided on."""
        if self.workspace.children[-1].poll() is not None:
            self.workspace.start()  # as Kubernetes does with a daemon that found no ledger when it started
        told = self.workspace.logged("candidate_promoted") + self.workspace.logged("candidate_rejected")
        return len({line["drop"] for line in told})

    def _settled(self, drops: int) -> bool:
        """Asked of the log first, which costs nothing; each kill may have taken one line of it."""
        if self._told() < drops - len(self.victims):
            return False
        runs = self.workspace.status()["runs"]
        return len(runs) >= drops and all(run["state"] in DECIDED for run in runs)


def kill_children(workspace: Workspace, chance: random.Random | None = None) -> None:
    """Every process below the daemon, or one of them."""
    below = psutil.Process(workspace.children[-1].pid).children(recursive=True)
    for process in below if chance is None else chance.sample(below, min(1, len(below))):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def kill_daemon(workspace: Workspace) -> None:
    """It alone."""
    workspace.children[-1].kill()
    workspace.children[-1].wait(240)


def require_exactly_once(workspace: Workspace, months: Sequence[str], registry: RegistryView, executed: Sequence[str]) -> None:
    """One run per drop, also where it was executed, one version per run, one champion, no bug met, no process left.

    Args:
        workspace: Its daemon was stopped.
        months: Of the drops.
        registry: What is in MLflow now.
        executed: Names of the runs that the orchestrator had, one per attempt.
    """
    status = workspace.status()
    runs = status["runs"]
    assert Counter(run["period"] for run in runs) == Counter(months)
    assert {run["state"] for run in runs} <= DECIDED
    attempts = [f"{run['name'].rpartition('-')[0]}-{number}" for run in runs for number in range(1, run["attempt"] + 1)]
    assert Counter(executed) == Counter(attempts)
    keys = Counter(run["key"] for run in runs)
    assert Counter(tags["trainer.run_key"] for tags in registry.versions.values()) == keys
    assert Counter(registry.run_keys) == keys
    assert {run["model_version"] for run in runs} == set(registry.versions)
    assert registry.aliases["champion"] == status["champion"]["version"]
    assert status["champion"]["run"] in [run["name"] for run in runs if run["state"] == "PROMOTED"]
    assert workspace.logged("reconcile_crashed") == []
    assert workspace.logged("champion_moved_externally") == []
    assert workspace.processes() == []
