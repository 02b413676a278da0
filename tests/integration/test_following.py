"""What a failing look says of the drop that it holds up: real loop, reconciler and ledger, services that do not answer."""

import io
import json
import logging
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.builders import MODEL, NOW, a_drop, a_drop_event, a_policy
from tests.fakes import FakeOrchestrator, FakeRegistry
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.errors import TemporaryError
from trainer_daemon.loop import Loop, Rest
from trainer_daemon.observer import Slots
from trainer_daemon.policy.observations import Champion, Observation
from trainer_daemon.reconciler import Model, Reconciler
from trainer_daemon.telemetry.logging import configure_logging

PATIENCE_S = 240.0


class Silent(FakeOrchestrator):
    """Takes runs, and says nothing of them."""

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """No answer."""
        message = f"no answer about {len(names)} runs"
        raise TemporaryError(message)


class Away(FakeRegistry):
    """A registry that cannot be reached."""

    def champion(self, model: str) -> Champion | None:
        """No answer."""
        message = f"no answer about {model}"
        raise TemporaryError(message)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is global: put it back."""
    root, showing = logging.getLogger(), warnings.showwarning
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], warnings.showwarning = handlers, showing
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def first_failure(path: Path, *, orchestrator: FakeOrchestrator, registry: FakeRegistry) -> dict[str, Any]:
    """The first line that says that a look failed, with a drop waiting."""
    stream = io.StringIO()
    log = configure_logging(level="info", format="json", stream=stream)
    with Ledger(f"sqlite:///{path}/ledger.db") as ledger:
        ledger.record([a_drop_event()], NOW)
        reconciler = Reconciler(
            model=Model(policy=a_policy(), parameters={}, pipeline="training", run_timeout_s=60),
            ledger=ledger,
            orchestrator=orchestrator,
            registry=registry,
            slots=Slots(ledger, 1, [MODEL]),
            clock=lambda: NOW,
            log=log,
        )

        def work() -> Rest:
            return Rest(seconds=0.0 if reconciler.step() is None else 3600.0)

        loop = Loop("reconcile", work, log)
        loop.start()
        deadline = time.monotonic() + PATIENCE_S
        while "reconcile_deferred" not in stream.getvalue():
            assert time.monotonic() < deadline, stream.getvalue()
            threading.Event().wait(0.01)
        loop.stop()
        assert loop.join(PATIENCE_S)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return next(line for line in lines if line["message"] == "reconcile_deferred")


def test_look_at_a_run_that_fails_names_run_and_drop(tmp_path: Path) -> None:
    """Its key as well, although the loop that says it knows of none of them."""
    orchestrator = Silent()
    line = first_failure(tmp_path, orchestrator=orchestrator, registry=FakeRegistry())
    (name,) = orchestrator.requests
    assert (line["run"], line["drop"]) == (name, a_drop().ref)
    assert line["run_key"] == orchestrator.requests[name].parameters["run_key"]


def test_look_that_fails_before_there_is_a_run_names_the_drop(tmp_path: Path) -> None:
    """The next one in the order."""
    line = first_failure(tmp_path, orchestrator=FakeOrchestrator(), registry=Away())
    assert line["drop"] == a_drop().ref
