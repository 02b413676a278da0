"""The Kubeflow Pipelines server of the tests as a child process, and what a test asks of it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.emulators.certificates import Certificates
from tests.emulators.executing_server import ExecutingServer, LoggedRequest
from tests.emulators.kfp.front import PREFIX
from tests.emulators.processes import HOST, ServerProcess, free_port

__all__ = ["KfpServer", "LoggedRequest"]


class KfpServer(ExecutingServer):
    """A Kubeflow Pipelines API that keeps its state over restarts and executes what it is given.

    Args:
        folder: Where its state and its log are.
        is_multi_user: Whether namespaces matter.
        certificates: With them it speaks https.
    """

    def __init__(self, folder: Path, *, is_multi_user: bool = False, certificates: Certificates | None = None) -> None:
        port = free_port()
        state = folder / "kfp"
        host = f"{'https' if certificates else 'http'}://{HOST}:{port}"
        options: list[str | Path] = ["--multi-user"] if is_multi_user else []
        if certificates:
            options += ["--certificate", certificates.certificate, "--key", certificates.key]
        command = [sys.executable, "-m", "tests.emulators.kfp", f"--port={port}", f"--state={state}", *options]
        process = ServerProcess(command, port=port, log=folder / "kfp.log", environment={})
        super().__init__(process, host=host, prefix=PREFIX, state=state, certificates=certificates)

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
