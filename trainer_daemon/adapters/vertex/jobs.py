"""What Vertex AI says of pipeline jobs, and what a job is created from, as values. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from trainer_daemon.errors import PermanentError
from trainer_daemon.policy.observations import Phase
from trainer_daemon.remote.runs import RemoteRun

OURS, OURS_VALUE = "trainer_daemon", "run"
"""The label of every job that a daemon starts; what open jobs are listed by. Without a hyphen, which a filter would mind."""
PIPELINE_LABEL, PARAMETERS_LABEL = "trainer_pipeline", "trainer_parameters"
"""Digests, because the service need not give back a spec and numbers as it got them, but has to give back labels."""
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_DIGEST_DIGITS = 20
_PREFIX = "PIPELINE_STATE_"
_UNSPECIFIED = "UNSPECIFIED"
_ENDS = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexJob(RemoteRun):
    """One pipeline job; of its states, a paused one can be resumed and one that is being cancelled still works.

    Attributes:
        id: The last part of its name.
        name: Of the run it executes; its display name.
        labels: Its own and ours.
    """

    PHASES: ClassVar[Mapping[str, Phase]] = {
        _UNSPECIFIED: Phase.PENDING,
        "QUEUED": Phase.PENDING,
        "PENDING": Phase.PENDING,
        "RUNNING": Phase.RUNNING,
        "PAUSED": Phase.RUNNING,
        "CANCELLING": Phase.RUNNING,
        "SUCCEEDED": Phase.SUCCEEDED,
        "FAILED": Phase.FAILED,
        "CANCELLED": Phase.CANCELED,
    }
    ENDING: ClassVar[str] = "CANCELLING"

    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a job is created from.

    Attributes:
        name: Of the run.
        version: Identifies the pipeline and the code of its steps.
        parameters: Those that the pipeline declares.
        digest: Of those parameters that have to be the same whoever submits the run, see `parameters_digest`.
    """

    name: str
    spec: Mapping[str, Any]
    version: str
    parameters: Mapping[str, Any]
    digest: str

    @property
    def labels(self) -> Mapping[str, str]:
        """What the job is found and compared by."""
        return {OURS: OURS_VALUE, PIPELINE_LABEL: self.version, PARAMETERS_LABEL: self.digest}


def job_id(name: str) -> str:
    """The id of the job of a run: its name, which is another one for every attempt, since an id is never free again.

    The service wants a letter first, which the name of a model need not have.

    Raises:
        PermanentError: There is none for such a name.
    """
    identity = name if name[:1].isalpha() else f"run-{name}"
    if not _ID.fullmatch(identity):
        msg = f"'{name}' cannot be the id of a pipeline job: small letters, digits and hyphens, at most 128"
        raise PermanentError(msg)
    return identity


def parameters_digest(parameters: Mapping[str, Any], *, without: frozenset[str] = frozenset()) -> str:
    """What tells one set of parameters from another.

    Args:
        parameters: JSON values.
        without: Names of those that may differ between two submissions of the same run.
    """
    content = {name: value for name, value in parameters.items() if name not in without}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]


def difference(job: VertexJob, wanted: NewJob) -> str:
    """In what a job that has the id of a run is another one than it; empty when it is the same."""
    if job.labels.get(OURS) != OURS_VALUE:
        return "was not started by a trainer-daemon"
    pairs = {"another pipeline": PIPELINE_LABEL, "other parameters": PARAMETERS_LABEL}
    others = [what for what, label in pairs.items() if job.labels.get(label) != wanted.labels[label]]
    return f"has {' and '.join(others)}" if others else ""


def state_name(name: str) -> str:
    """A state without the prefix that they all have."""
    return name.removeprefix(_PREFIX)


def open_filter() -> str:
    """Every job of a daemon that is not over, in a state that is known or not."""
    ours = f'labels.{OURS}="{OURS_VALUE}"'
    return " AND ".join([ours, *(f'state!="{_PREFIX}{state}"' for state in _ENDS)])
