"""What a person types to follow one drop or run through the log: for Cloud Logging and for a terminal. Pure."""

import json
import shlex
from dataclasses import dataclass

from trainer_daemon.policy.runs import Run

_CONTAINER = 'resource.type="k8s_container" resource.labels.container_name="trainer-daemon"'
_LOGS = "kubectl -n kubeflow logs -l app.kubernetes.io/name=trainer-daemon --tail=-1 -f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """One selection of log lines, said twice.

    Attributes:
        cloud_logging: A filter for Google Cloud's Logs Explorer.
        terminal: A command line.
    """

    cloud_logging: str
    terminal: str


def follow_run(run: Run) -> Follow:
    """Everything about a run, over all attempts, from the arrival of its drop on."""
    key, drop = json.dumps(run.key), json.dumps(run.drop.ref)
    return Follow(
        cloud_logging=f"{_CONTAINER} (labels.run_key={key} OR labels.drop={drop})",
        terminal=_terminal(f".run_key == {key} or .drop == {drop}"),
    )


def follow_drop(uri: str) -> Follow:
    """Everything about an object, whatever was in it."""
    word = json.dumps(uri)
    return Follow(cloud_logging=f"{_CONTAINER} {word}", terminal=_terminal(f"any(.. | strings; contains({word}))"))


def _terminal(condition: str) -> str:
    """Lines that are no JSON, as a crash may leave them, are passed over."""
    return f"{_LOGS} | {shlex.join(('jq', '-cR', '--unbuffered', f'fromjson? | objects | select({condition})'))}"
