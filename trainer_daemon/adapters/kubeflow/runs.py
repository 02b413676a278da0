"""What the API's states of a run mean, and which of several runs of one name counts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from trainer_daemon.policy.observations import Phase
from trainer_daemon.remote.runs import RemoteRun

OPEN_STATES = ("RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "PAUSED", "CANCELING")


@dataclass(frozen=True, slots=True, kw_only=True)
class KfpRun(RemoteRun):
    """One run; of v2beta1's states, one that was skipped never worked, and one that is being cancelled still does."""

    PHASES: ClassVar[Mapping[str, Phase]] = {
        "": Phase.PENDING,
        "RUNTIME_STATE_UNSPECIFIED": Phase.PENDING,
        "PENDING": Phase.PENDING,
        "RUNNING": Phase.RUNNING,
        "PAUSED": Phase.RUNNING,
        "CANCELING": Phase.RUNNING,
        "SUCCEEDED": Phase.SUCCEEDED,
        "SKIPPED": Phase.FAILED,
        "FAILED": Phase.FAILED,
        "CANCELED": Phase.CANCELED,
    }
    ENDING: ClassVar[str] = "CANCELING"


def oldest(runs: Sequence[KfpRun]) -> KfpRun | None:
    """The one of several runs of one name that counts; the id decides among those of one second, so that everybody agrees."""
    return min(runs, key=lambda run: (run.created_at, run.id), default=None)
