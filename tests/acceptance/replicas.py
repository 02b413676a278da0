"""Several daemons of one installation: they share bucket, workspace, MLflow and ledger, and each has its own log."""

import json
import shutil
import signal
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Workspace, wait_until
from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.policy.runs import Run

TAKEOVER_S_MAX, BUSY_S = 15.0, 30.0
"""What is promised, and what a busy machine may add to it."""
WORK_S = 300.0
"""A busy machine takes a minute to start MLflow."""


class Installation:
    """The shared part; runs go nowhere and are rejected, which is cheap and as much of a decision as any.

    Args:
        root: A folder for everything.
        url: Of the ledger.
        furniture: What a first start leaves in a workspace.
    """

    def __init__(self, root: Path, url: str, furniture: Path) -> None:
        self.root = root
        shutil.copytree(furniture, root / "var")
        self.url = url
        self.daemons: list[Workspace] = []

    def daemon(self, url: str = "") -> Workspace:
        """One more daemon that starts now.

        Args:
            url: Of the ledger, as this daemon reaches it.
        """
        shared = {"ledger": url or self.url, "workspace": str(self.root / "var")}
        top = "\n".join(f"{key} = {json.dumps(value)}" for key, value in shared.items())
        top += f'\n[mlflow]\ntracking_uri = "sqlite:///{self.root}/var/mlflow.db"\ncall_timeout_s = 280'
        model = {"bucket": str(self.root / "drops"), "listing_interval_s": 2.0, "training": {"pipeline": "hello"}}
        made = Workspace(self.root / f"daemon-{len(self.daemons)}", model=model, top=top)
        self.daemons.append(made)
        (self.root / "drops").mkdir(exist_ok=True)
        made.start()
        wait_until(lambda: made.logged("daemon_started"), "the daemon starts")
        return made

    def upload(self, month: int) -> None:
        """A drop arrives."""
        scratch = self.root / "scratch.csv"
        scratch.write_text(f"a,Churn\n{month},1\n")
        scratch.rename(self.root / "drops" / f"churn_data_2025_{month:02}.csv")

    def runs(self) -> tuple[Run, ...]:
        """Every run in the ledger."""
        history = open_history(self.url)
        assert history
        with closing(history):
            return history.runs("churn")

    def wait_until_decided(self, months: int, timeout_s: float = WORK_S) -> None:
        """Until so many drops have each had their one run, in one attempt."""

        def decided() -> bool:
            runs = self.runs()
            return len(runs) >= months and all(run.state == "REJECTED" for run in runs)

        wait_until(decided, f"{months} drops are decided on", timeout_s, every_s=0.25)
        runs = self.runs()
        assert [run.period for run in sorted(runs, key=lambda run: run.period)] == [
            f"2025-{at:02}" for at in range(1, months + 1)
        ]
        assert {run.attempt for run in runs} == {1}
        assert Counter(self.said("run_submitted")) == Counter(run.name for run in runs)

    def said(self, event: str) -> list[str]:
        """The runs that any daemon logged an event about."""
        return [line["run"] for daemon in self.daemons for line in daemon.logged(event)]

    def close(self) -> None:
        """Everything ends."""
        for daemon in self.daemons:
            daemon.children[-1].send_signal(signal.SIGCONT) if daemon.children[-1].poll() is None else None
            daemon.kill_tree()


def holds(daemon: Workspace) -> bool:
    """Whether the daemon says so."""
    told = [line["message"] for line in daemon.events() if line["message"].startswith("lease_")]
    return bool(told) and told[-1] == "lease_acquired"


def moment(line: dict[str, Any]) -> float:
    """When a line was written, in seconds since 1970."""
    return datetime.fromisoformat(line["time"]).timestamp()


def signalled(daemon: Workspace, number: signal.Signals) -> None:
    """Only the daemon itself gets the signal; runs under way are processes of their own."""
    daemon.children[-1].send_signal(number)


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str, furniture: Path) -> Any:  # noqa: ANN401 - a generator of one
    """With a ledger of its own."""
    with closing(Installation(tmp_path, postgres_url, furniture)) as made:
        yield made
