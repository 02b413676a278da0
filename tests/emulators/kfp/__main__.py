"""`python -m tests.emulators.kfp --port 8888 --state DIR`, then `kfp.Client(host="http://127.0.0.1:8888")`."""

import argparse
from contextlib import suppress
from pathlib import Path

from tests.emulators.kfp.server import Settings, run


def main() -> None:
    """Serve until the process is ended."""
    arguments = _parser().parse_args()
    settings = Settings(
        host=arguments.host,
        port=arguments.port,
        state=arguments.state,
        is_multi_user=arguments.multi_user,
        certificate=arguments.certificate,
        key=arguments.key,
    )
    with suppress(KeyboardInterrupt):
        run(settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.emulators.kfp",
        description="The API of Kubeflow Pipelines (v2beta1) on one machine, for tests; it executes what it is given.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="a folder that survives the process: all that was created")
    parser.add_argument("--multi-user", action="store_true", help="namespaces matter")
    parser.add_argument("--certificate", type=Path, help="PEM file, for https")
    parser.add_argument("--key", type=Path, help="PEM file of the certificate's key")
    return parser


if __name__ == "__main__":
    main()
