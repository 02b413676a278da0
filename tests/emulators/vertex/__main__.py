"""`python -m tests.emulators.vertex --port 8889 --state DIR`, then `orchestrator.host = "http://127.0.0.1:8889"`."""

import argparse
from contextlib import suppress
from pathlib import Path

from tests.emulators.vertex.server import run


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.emulators.vertex",
        description="Pipeline jobs of Vertex AI (v1) on one machine, for tests; it executes what it is given.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="a folder that survives the process: all that was created")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        run(arguments.host, arguments.port, arguments.state)


if __name__ == "__main__":
    main()
