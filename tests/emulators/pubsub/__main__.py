"""`python -m tests.emulators.pubsub --port 8085`, then `PUBSUB_EMULATOR_HOST=127.0.0.1:8085` for the clients."""

import argparse
import sys
from contextlib import suppress
from pathlib import Path

from tests.emulators.pubsub.rates import Rates
from tests.emulators.pubsub.server import Settings, run


def main() -> None:
    """Serve until the process is ended."""
    arguments = _parser().parse_args()
    rates = Rates(duplicate=arguments.duplicate, drop=arguments.drop, expire=arguments.expire, seed=arguments.seed)
    settings = Settings(host=arguments.host, port=arguments.port, state=arguments.state, rates=rates)
    with suppress(KeyboardInterrupt):
        run(settings, _announce)


def _announce(address: str) -> None:
    sys.stdout.write(f"listening {address}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.pubsub", description="Pub/Sub on one machine, for tests.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the address is printed")
    parser.add_argument("--state", type=Path, help="a file that survives the process: topics, subscriptions, backlog, leases")
    parser.add_argument("--duplicate", type=float, default=0.0, help="probability that a message is delivered once more")
    parser.add_argument("--drop", type=float, default=0.0, help="probability that a message never reaches a subscription")
    parser.add_argument("--expire", type=float, default=0.0, help="probability that a delivery's lease ends at once")
    parser.add_argument("--seed", type=int, default=0, help="of the three above")
    return parser


if __name__ == "__main__":
    main()
