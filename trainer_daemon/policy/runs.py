"""Runs: their states, which moves between states exist, their identity and their names. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.events import OPERATOR_EVENT, DatasetVersion
from trainer_daemon.policy.promotion import Decision


class RunState(StrEnum):
    """Where a run is; the arrows between the states are `MOVES`."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    TRAINED = "TRAINED"
    FAILED = "FAILED"
    PROMOTED = "PROMOTED"
    REJECTED = "REJECTED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    QUARANTINED = "QUARANTINED"
    SUPERSEDED = "SUPERSEDED"
    CANCELED = "CANCELED"


_S = RunState
MOVES: Mapping[RunState, frozenset[RunState]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.FAILED, _S.SUPERSEDED, _S.CANCELED}),
    _S.RUNNING: frozenset({_S.QUEUED, _S.TRAINED, _S.FAILED, _S.QUARANTINED, _S.SUPERSEDED, _S.CANCELED}),
    _S.TRAINED: frozenset({_S.QUEUED, _S.FAILED, _S.PROMOTED, _S.REJECTED, _S.AWAITING_APPROVAL, _S.SUPERSEDED, _S.CANCELED}),
    _S.AWAITING_APPROVAL: frozenset({_S.QUEUED, _S.FAILED, _S.PROMOTED, _S.REJECTED, _S.SUPERSEDED, _S.CANCELED}),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.SUPERSEDED: frozenset({_S.QUEUED}),  # the same bytes are current again
    _S.CANCELED: frozenset({_S.QUEUED}),  # the operator asks for it again
    _S.PROMOTED: frozenset({_S.REJECTED}),  # a person takes it back
    _S.REJECTED: frozenset({_S.PROMOTED}),  # a person makes it champion all the same
    _S.QUARANTINED: frozenset(),
}
OPEN = frozenset({_S.RUNNING, _S.TRAINED})
"""States in which a run occupies its model: the ledger allows one such run per model."""
LIVE = OPEN | {_S.QUEUED, _S.AWAITING_APPROVAL}
"""States in which something is still to happen."""


CLOCK_SKEW_MAX = timedelta(seconds=60)
"""What the clocks of two replicas may differ by without either having been set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training run of one model, as the ledger knows it.

    Attributes:
        key: Identity by content, see `run_key`.
        drops: Oldest first; the last one is the drop the run is for, the others fill its window.
        ready_at: Not to be submitted earlier; a retry's backoff.
        ending: The state that somebody has decided to end it in, `SUPERSEDED` or `CANCELED`; None while it may go on.
        ending_reason: Why.
        champion_version: The champion that the present attempt was launched against.
        answer: What a person said to the promotion that the present attempt asked for.
    """

    key: str
    model: str
    period: str
    drops: tuple[DatasetVersion, ...]
    state: RunState
    attempt: int
    attempts_max: int
    sequence: int
    ready_at: datetime
    updated_at: datetime
    orchestrator_run: str = ""
    model_version: str = ""
    error: str = ""
    ending: RunState | None = None
    ending_reason: str = ""
    champion_version: str = ""
    event_id: str = ""
    decision: Decision | None = None
    answer: Answer | None = None

    @property
    def name(self) -> str:
        """The deterministic name of this attempt on the orchestrator."""
        return run_name(self.model, self.period, self.key, self.attempt)

    def is_ready(self, now: datetime) -> bool:
        """Whether its backoff is over. A clock that shows a time before it began was set back: nobody knows, so it is."""
        return self.ready_at <= now or now < self.updated_at - CLOCK_SKEW_MAX

    @property
    def is_asked_for(self) -> bool:
        """An operator asked for it by name."""
        return self.event_id.startswith(OPERATOR_EVENT)

    @property
    def drop(self) -> DatasetVersion:
        """The drop this run is for."""
        return self.drops[-1]


def run_key(
    *, model: str, drops: tuple[DatasetVersion, ...], pipeline_digest: str, parameters: Mapping[str, object], nonce: str = ""
) -> str:
    """The identity of a run: 64 hexadecimal digits over its content, not over how or when it was asked for.

    Args:
        model: Name of the model.
        drops: Oldest first; URI and checksum of each count, the generation does not.
        pipeline_digest: Identifies the code of the pipeline.
        parameters: What else the outcome depends on; JSON values.
        nonce: The event id of a forced run, which wants to be different; else empty.
    """
    content = {
        "model": model,
        "drops": [[drop.uri, drop.checksum] for drop in drops],
        "pipeline": pipeline_digest,
        "parameters": parameters,
        "nonce": nonce,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def run_name(model: str, period: str, key: str, attempt: int) -> str:
    """A name of `[a-z0-9-]`, since the KFP API decodes names twice; unique per attempt, since runs are found again by it."""
    return f"{_slug(model)}-{period}-{key[:12]}-{attempt}"


@cache
def _slug(model: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:40] or "model"
