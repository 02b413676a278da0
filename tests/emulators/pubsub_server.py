"""The Pub/Sub emulator as a child process, and what a test asks of it."""

import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.emulators.processes import HOST, ServerProcess, free_port
from tests.emulators.pubsub.rates import Rates

_CONTROL_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """A message that was acknowledged.

    Attributes:
        data: Its body, which has to be text.
        at: When it was acknowledged, in seconds since 1970.
    """

    id: str
    attributes: dict[str, str]
    data: str
    at: float


class PubSubServer:
    """A Pub/Sub service that keeps its state over restarts.

    Args:
        folder: Where its state and its log are.
        rates: What goes wrong on purpose.
    """

    def __init__(self, folder: Path, rates: Rates | None = None) -> None:
        port = free_port()
        options = [f"--{name}={value}" for name, value in asdict(rates or Rates()).items()]
        state = folder / "pubsub.sqlite"
        command = [sys.executable, "-m", "tests.emulators.pubsub", f"--port={port}", f"--state={state}", *options]
        self.address = f"{HOST}:{port}"
        self._process = ServerProcess(command, port=port, log=folder / "pubsub.log", environment={})

    @property
    def environment(self) -> dict[str, str]:
        """What points the real clients here."""
        return {"PUBSUB_EMULATOR_HOST": self.address}

    def start(self) -> None:
        """Start it, at the same address and with the state that it had."""
        self._process.start()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def cpu_s(self) -> float:
        """Seconds of a processor that the process has used since it was started."""
        used = psutil.Process(self._process.pid).cpu_times()
        return float(used.user + used.system)

    def refuse(self, code: str, *, seconds: float = math.inf, service: str = "") -> None:
        """Answer every call with a status, and end open streams with it.

        Args:
            code: Such as `UNAVAILABLE`.
            seconds: For how long, unless `end_outages` comes first.
            service: `Publisher` or `Subscriber`; "" is both.
        """
        self._ask("Refuse", code=code, seconds=seconds, service=service)

    def silence(self, seconds: float = math.inf) -> None:
        """Deliver nothing for a time; streams stay open, new ones open too."""
        self._ask("Silence", seconds=seconds)

    def mute_open_streams(self) -> None:
        """Let the streams that are open now fall silent for good; streams that are opened later deliver."""
        self._ask("Mute")

    def end_outages(self) -> None:
        """Answer and deliver again."""
        self._ask("End")

    def counts(self, subscription: str) -> dict[str, int]:
        """What happened on a subscription: published, dropped, duplicated, delivered, expired, acked; `backlog` is not acked."""
        none = dict.fromkeys(("published", "dropped", "duplicated", "delivered", "expired", "acked", "backlog"), 0)
        counts: dict[str, int] = self._ask("Counts")[subscription]
        return none | counts

    def acked(self, subscription: str) -> list[Acked]:
        """What was acknowledged, a message that came twice twice; only of a subscription that retains acknowledged messages."""
        return [Acked(**message) for message in self._ask("Acked", subscription=subscription)]

    def refused(self, service: str = "Subscriber") -> int:
        """How many calls of a service an outage has refused since the server was started."""
        refused: dict[str, int] = self._ask("Refused")
        return refused.get(service, 0)

    def _ask(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        import grpc

        with grpc.insecure_channel(self.address) as channel:
            call = channel.unary_unary(f"/emulator.Control/{command}")
            answer: bytes = call(json.dumps(arguments).encode(), timeout=_CONTROL_S, wait_for_ready=True)
        return json.loads(answer)
