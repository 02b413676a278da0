"""The Kubeflow Pipelines server of the tests as a child process, and what a test asks of it."""

import json
import ssl
import sys
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulators.certificates import Certificates
from tests.emulators.kfp.executors import Executors
from tests.emulators.processes import HOST, ServerProcess, free_port

_CONTROL_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """A request that the server got.

    Attributes:
        path: Below `/apis/v2beta1`, or of a page outside the API.
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


class KfpServer:
    """A Kubeflow Pipelines API that keeps its state over restarts and executes what it is given.

    Args:
        folder: Where its state and its log are.
        is_multi_user: Whether namespaces matter.
        certificates: With them it speaks https.
    """

    def __init__(self, folder: Path, *, is_multi_user: bool = False, certificates: Certificates | None = None) -> None:
        port = free_port()
        self.state = folder / "kfp"
        self.certificates = certificates
        self.host = f"{'https' if certificates else 'http'}://{HOST}:{port}"
        options: list[str | Path] = ["--multi-user"] if is_multi_user else []
        if certificates:
            options += ["--certificate", certificates.certificate, "--key", certificates.key]
        command = [sys.executable, "-m", "tests.emulators.kfp", f"--port={port}", f"--state={self.state}", *options]
        self._process = ServerProcess(command, port=port, log=folder / "kfp.log", environment={})

    def start(self) -> None:
        """Start it, at the same address and with the state that it had."""
        self._process.start()

    def kill(self) -> None:
        """SIGKILL; runs go on."""
        self._process.kill()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it, and every run."""
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
        """Do what is asked late, whether or not the client still waits."""
        self._ask("fail", route=route, kind="delay", delay_s=delay_s, times=times)

    def lose_replies(self, route: str, *, times: int | None = None) -> None:
        """Do what is asked, then cut the connection."""
        self._ask("fail", route=route, kind="lose_reply", times=times)

    def cut(self, route: str, *, times: int | None = None) -> None:
        """Cut the connection before anything is done."""
        self._ask("fail", route=route, kind="cut", times=times)

    def end_faults(self) -> None:
        """From now on all goes well."""
        self._ask("end_faults")

    def require_tokens(self, *tokens: str) -> None:
        """Let only requests with one of these bearer tokens pass; called again, the tokens are replaced."""
        self._ask("remember", auth="token", tokens=tokens)

    def require_sessions(
        self, users: Mapping[str, str], *, cookie: str = "authservice_session", unknown_session: int = 302
    ) -> None:
        """Let only requests with a session from Dex pass.

        Args:
            users: Passwords by login.
            cookie: Which one holds the session; newer installations use `oauth2_proxy_kubeflow`.
            unknown_session: What a request without a session gets: 302 to the login page, or 401.
        """
        self._ask("remember", auth="session", users=users, cookie=cookie, unknown_session=unknown_session)

    def expire_sessions(self) -> None:
        """Forget every session."""
        self._ask("remember", sessions=[])

    def let_anybody_in(self) -> None:
        """Ask for no credentials any more."""
        self._ask("remember", auth="none")

    def execute(self, *, at_once: int) -> None:
        """Execute at most so many runs at once; the others are PENDING."""
        self._ask("remember", at_once=at_once)

    def hold_runs(self) -> None:
        """Execute no run that is created from now on: it stays PENDING until the test says `enter`."""
        self._ask("remember", executes=False)

    def hold_cancellations(self, *, hold: bool = True) -> None:
        """Let terminated runs stay CANCELING."""
        self._ask("remember", cancels=not hold)

    def script(self, runs: Sequence[Mapping[str, Any]], *, experiment_id: str = "") -> list[str]:
        """Make runs that nothing executes.

        Args:
            runs: Fields of each as the API shows them; `display_name` is needed, `state` is RUNNING if not given.
            experiment_id: What they belong to; "" is the default experiment.

        Returns:
            Their ids.
        """
        ids: list[str] = self._ask("script", runs=runs, experiment_id=experiment_id)
        return ids

    def enter(self, run_id: str, state: str, *, task_details: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Let a run that nothing executes be in a state, which the API may not know."""
        self._ask("enter", run_id=run_id, state=state, task_details=task_details)

    def requests(self, route: str = "", *, after: int = 0) -> list[LoggedRequest]:
        """The requests that the server got, oldest first.

        Args:
            route: Only those with this method and path, such as `GET /runs`.
            after: Only those with a higher number.
        """
        logged = [_logged(row) for row in self._ask("requests", after=after)]
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


def _logged(row: Mapping[str, Any]) -> LoggedRequest:
    return LoggedRequest(**{**row, "path": row["path"].removeprefix("/apis/v2beta1")})
