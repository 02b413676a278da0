"""Clients of Kubeflow Pipelines and Vertex AI, and a server on the loopback that gives each of their calls a stranger's reply."""

import atexit
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from google.auth.credentials import AnonymousCredentials

from tests.integration.kubeflow.stranger import Response, answering
from trainer_daemon.adapters.kubeflow.api import Connection, KubeflowApi, NewRun
from trainer_daemon.adapters.kubeflow.credentials import NoCredentials
from trainer_daemon.adapters.kubeflow.runs import KfpRun, oldest
from trainer_daemon.adapters.vertex import Connection as Location
from trainer_daemon.adapters.vertex import VertexApi, Workload
from trainer_daemon.adapters.vertex.jobs import NewJob
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.recurring import RecurringRun
from trainer_daemon.remote.runs import RemoteRun, observation_of
from trainer_daemon.telemetry.logging import quiet_log

JSON = "application/json"
_NEW_RUN = NewRun(name="churn-1", experiment_id="e", pipeline_id="p", version_id="v", parameters={})
_NEW_JOB = NewJob(name="churn-1", spec={}, version="v", parameters={}, digest="d")


@dataclass
class Stranger:
    """Gives every call the same reply."""

    reply: Response = (200, JSON, b"{}")
    retry_after: str = ""

    def say(self, data: bytes) -> None:
        """Give this reply from now on: `<status>|<Retry-After>|<Content-Type>` in the first line, then the body."""
        head, _, body = data.partition(b"\n")
        status, wait, kind = (head.decode("latin-1").split("|") + [""] * 3)[:3]
        known = status.isascii() and status.isdigit() and 200 <= int(status[:3]) <= 599
        self.reply = (int(status[:3]) if known else 200, _printable(kind) or JSON, body)
        self.retry_after = _printable(wait)

    def headers(self) -> dict[str, str]:
        """Besides those of every answer."""
        return {"Retry-After": self.retry_after} if self.retry_after else {}


def read_replies(data: bytes) -> list[str]:
    """What the clients make of a reply, in sentences: our two kinds of error, or what a run comes to."""
    stranger, calls = _stage()
    stranger.say(data)
    told: list[str] = []
    for call in calls:
        try:
            told += _sentences(call())
        except (TemporaryError, PermanentError) as exc:
            told.append(str(exc))
    return told


@lru_cache
def _stage() -> tuple[Stranger, Sequence[Callable[[], Any]]]:
    """The server and the calls, once per process; its end ends them."""
    stranger, stack = Stranger(), ExitStack()
    host = stack.enter_context(answering({"": lambda: stranger.reply}, headers=stranger.headers))
    atexit.register(stack.close)  # and so it is not collected, which would end the server here
    kubeflow = KubeflowApi(Connection(host=host, credentials=NoCredentials()), log=quiet_log())
    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call, unused-ignore]
    vertex = VertexApi(Location(project="p", location="l", host=host), nobody, log=quiet_log())
    return stranger, [
        lambda: kubeflow.runs_named(kubeflow.find_experiment("x") or "e", "churn-1"),
        partial(kubeflow.get_run, "r1"),
        partial(kubeflow.create_run, _NEW_RUN),
        kubeflow.recurring_runs,
        kubeflow.version,
        partial(vertex.get, "churn-1"),
        vertex.open_jobs,
        partial(vertex.create, _NEW_JOB, Workload(pipeline_root="gs://a/b")),
        partial(vertex.may_act_as, "a@b"),
    ]


def _sentences(answer: Any) -> Iterator[str]:  # noqa: ANN401 - of any call
    """What of an answer is shown, kept or logged."""
    found = [item for item in (answer if isinstance(answer, Sequence) else [answer]) if item is not None]
    runs = [item for item in found if isinstance(item, RemoteRun)]
    oldest([run for run in runs if isinstance(run, KfpRun)])
    for run in runs:
        seen = observation_of(run, timeout_s=60, link="")
        yield from (run.id, seen.reason, seen.step)
    for recurring in found:
        if isinstance(recurring, RecurringRun):
            yield from (recurring.id, recurring.name, recurring.pipeline, str(recurring.trigger))
    if isinstance(answer, str) and answer:
        yield answer


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
