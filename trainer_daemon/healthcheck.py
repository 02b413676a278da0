"""`python -m trainer_daemon.healthcheck`: asks the daemon beside it whether it is alive, where there is no shell to do so.

It starts every few seconds, so it imports nothing but the standard library and reads of the configuration only where to ask.
"""

import sys
import tomllib
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from os import environ
from pathlib import Path

LIVE_PATH, READY_PATH = "/livez", "/readyz"
"""Where the daemon says whether it makes progress, and whether what it needs can be reached; manifests probe the same."""
ANSWER_S_MAX = 4.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound


class UnhealthyError(Exception):
    """The daemon is not alive, or cannot be asked."""


def listen_address(environment: Mapping[str, str]) -> str:
    """`http.listen` as the daemon reads it.

    Raises:
        UnhealthyError: The configuration cannot be read, or has no such address.
    """
    config = Path(environment.get("TRAINER_CONFIG") or "trainer.toml")
    listen = environment.get("TRAINER_HTTP__LISTEN")
    if listen is None:
        try:
            section = tomllib.loads(config.read_text(encoding="utf-8-sig")).get("http")
        except (OSError, ValueError) as exc:
            msg = f"{config} cannot be read: {exc}"
            raise UnhealthyError(msg) from exc
        listen = section.get("listen") if isinstance(section, dict) else None
    if not isinstance(listen, str) or not listen.rpartition(":")[2].isdigit():
        msg = f'nobody can be asked: set listen = "0.0.0.0:9464" under [http] in {config}'
        raise UnhealthyError(msg)
    return listen


def ask(listen: str) -> None:
    """Return when the daemon says that it is alive.

    Args:
        listen: Where it listens, `<address>:<port>`.

    Raises:
        UnhealthyError: It says something else, or nothing in time.
    """
    address, _, port = listen.rpartition(":")
    address = address.strip("[]")
    connection = HTTPConnection(_ANYWHERE.get(address, address), int(port), timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", LIVE_PATH)
        status = connection.getresponse().status
    except (OSError, HTTPException) as exc:
        msg = f"{listen} does not answer: {exc!r}"
        raise UnhealthyError(msg) from exc
    finally:
        connection.close()
    if status != 200:  # noqa: PLR2004 - HTTP's OK
        msg = f"{LIVE_PATH} answers {status}"
        raise UnhealthyError(msg)


def main() -> None:
    """Ask; exit 1, with the reason on standard error, when the daemon is not alive."""
    try:
        ask(listen_address(environ))
    except UnhealthyError as exc:
        sys.exit(f"unhealthy: {exc}")


if __name__ == "__main__":
    main()
