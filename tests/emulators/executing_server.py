"""A server that executes pipelines, as a child process, and what a test asks of it, whatever API it has."""

import json
import ssl
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulators.certificates import Certificates
from tests.emulators.kfp.executors import Executors
from tests.emulators.processes import ServerProcess

_CONTROL_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """A request that the server got.

    Attributes:
        path: Below that of the API, or of a page outside it.
        query: As it was sent.
        time: Seconds since 1970.
        status: None while it is worked on, and for ever if its reply was lost.
    """

    number: int
    method: str
    path: str
    query: str
    time: float
    status: int | None


class ExecutingServer:
    """Keeps its state over restarts and executes what it is given.

    Args:
        process: The server.
        host: Its URL.
        prefix: What the paths of its API are below.
        state: The folder of its state.
        certificates: With them it speaks https.
    """

    def __init__(
        self, process: ServerProcess, *, host: str, prefix: str, state: Path, certificates: Certificates | None = None
    ) -> None:
        self._process = process
        self._prefix = prefix
        self.host = host
        self.state = state
        self.certificates = certificates
        self.is_reusable = True

    def start(self) -> None:
        """Start it, at the same address and with the state that it had."""
        self._process.start()

    def kill(self) -> None:
        """SIGKILL; runs go on."""
        self.is_reusable = False
        self._process.kill()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it, and every run."""
        self.is_reusable = False
        self._process.stop()
        Executors(self.state).end_all()

    def refuse(
        self,
        route: str,
        status: int,
        *,
        times: int | None = None,
        seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer requests with a status; 403, 429 and 503 have the plain text of a proxy, the others the server's JSON.

        Args:
            route: Method and path below the API's, such as `GET /runs` or `POST /runs/*:terminate`; `*` is any text.
            status: Of HTTP.
            times: To how many requests; None for all.
            seconds: For how long; None for ever.
            headers: Such as `Retry-After`.
        """
        self._ask("fail", route=route, kind="refuse", status=status, times=times, seconds=seconds, headers=headers)

    def delay(self, route: str, delay_s: float, *, times: int | None = None) -> None:
        """Do what is asked late, or when faults are ended, whether or not the client still waits, nor the test."""
        self.is_reusable = False
        self._ask("fail", route=route, kind="delay", delay_s=delay_s, times=times)

    def lose_replies(self, route: str, *, times: int | None = None) -> None:
        """Do what is asked, then cut the connection."""
        self._ask("fail", route=route, kind="lose_reply", times=times)

    def cut(self, route: str, *, times: int | None = None) -> None:
        """Cut the connection before anything is done."""
        self._ask("fail", route=route, kind="cut", times=times)

    def clear(self) -> None:
        """Be as a server that was just installed: no runs, no settings, no faults."""
        self._ask("clear")

    def end_faults(self) -> None:
        """From now on all goes well."""
        self._ask("end_faults")

    def execute(self, *, at_once: int) -> None:
        """Execute at most so many runs at once; the others are PENDING."""
        self._ask("remember", at_once=at_once)

    def hold_runs(self) -> None:
        """Execute no run that is created from now on: it stays PENDING until the test says `enter`."""
        self._ask("remember", executes=False)

    def hold_cancellations(self, *, hold: bool = True) -> None:
        """Let terminated runs stay CANCELING."""
        self._ask("remember", cancels=not hold)

    def enter(self, run_id: str, state: str, *, task_details: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Let a run that nothing executes be in a state, which the API may not know."""
        self._ask("enter", run_id=run_id, state=state, task_details=task_details)

    def requests(self, route: str = "", *, after: int = 0) -> list[LoggedRequest]:
        """The requests that the server got, oldest first.

        Args:
            route: Only those with this method and path, such as `GET /runs`.
            after: Only those with a higher number.
        """
        logged = [self._logged(row) for row in self._ask("requests", after=after)]
        return [each for each in logged if route in {"", f"{each.method} {each.path}"}]

    def request_counts(self) -> Counter[str]:
        """How many requests each method and path got."""
        return Counter(f"{each.method} {each.path}" for each in self.requests())

    def _ask(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        context = ssl.create_default_context(cafile=str(self.certificates.authority)) if self.certificates else None
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.host}/control/{command}", json.dumps(arguments).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_CONTROL_S, context=context) as answer:  # noqa: S310
            return json.loads(answer.read())

    def _logged(self, row: Mapping[str, Any]) -> LoggedRequest:
        return LoggedRequest(**{**row, "path": row["path"].removeprefix(self._prefix)})
