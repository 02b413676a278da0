"""The image as it is used: hardened, with the demo's drops."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import wait_until
from tests.image.engine import HARDENED, Container, build, docker, require_engine, running
from trainer_daemon.demo_data import DRIFT, monthly_drop

pytestmark = [pytest.mark.timeout(2400), pytest.mark.xdist_group("image")]

CONFIGURATION = """\
ledger = "sqlite:////var/lib/trainer/ledger.db"
workspace = "/var/lib/trainer"
[http]
listen = "0.0.0.0:9464"
[mlflow]
tracking_uri = "sqlite:////var/lib/trainer/mlflow.db"
[[models]]
name = "churn"
bucket = "file:///drops"
"""
AN_ORPHAN = """
import os
reader, writer = os.pipe()
if os.fork() == 0:
    orphan = os.fork()
    if orphan:
        os.write(writer, str(orphan).encode())
    os._exit(0)
os.wait()
print(os.read(reader, 32).decode())
"""
CHECK = """
import subprocess, sys
print(subprocess.run([sys.executable, "-m", "trainer_daemon.healthcheck"], capture_output=True, text=True))
"""
STATUS = """
from urllib.request import urlopen
print(urlopen("http://127.0.0.1:9464/").read().decode())
"""
UNCOMPILED = """
from importlib.util import cache_from_source
from pathlib import Path
import json, sqlalchemy, trainer_daemon
roots = [Path(package.__file__).parent for package in (json, sqlalchemy, trainer_daemon)]
print([path for root in roots for path in root.rglob("*.py") if not Path(cache_from_source(path)).exists()])
"""
LEFT_OVER = """
from pathlib import Path
packages = next(Path("/opt/trainer/lib").glob("python3*")) / "site-packages"
tools = [name for name in ("pip", "hatchling", "setuptools", "pytest") if (packages / name).exists()]
print(tools, Path("/build").exists(), [path for path in packages.rglob("tests") if path.is_dir()])
"""


@pytest.fixture(scope="session")
def image() -> str:
    """Built once."""
    require_engine()
    return build()


@pytest.fixture
def volume() -> Iterator[str]:
    """A named volume: what Kubernetes mounts, and owned as the image says."""
    name = docker("volume", "create")
    yield name
    docker("volume", "rm", "--force", name)


@pytest.fixture
def mounts(volume: str, tmp_path: Path) -> list[str]:
    """Options that mount the configuration, the demo's drops and a volume to write to."""
    drops = tmp_path / "drops"
    drops.mkdir()
    for seed, (period, drift) in enumerate(DRIFT.items()):
        (drops / f"churn_data_{period.replace('-', '_')}.csv").write_text(monthly_drop(drift=drift, seed=seed))
    configuration = tmp_path / "trainer.toml"
    configuration.write_text(CONFIGURATION)
    for path in (*tmp_path.parents[:2], tmp_path, drops):
        path.chmod(0o755)  # pytest's folders are for their owner only, the container has another user
    pairs = (f"{volume}:/var/lib/trainer", f"{drops}:/drops:ro", f"{configuration}:/etc/trainer/trainer.toml:ro")
    return [option for pair in pairs for option in ("--volume", pair)]


def inside(image: str, code: str) -> str:
    """What a program prints in a container of its own."""
    return docker("run", "--rm", *HARDENED, "--entrypoint", "python3", image, "-c", code)


def has_logged(container: Container, event: str) -> Callable[[], bool]:
    """Whether the container's log has an event."""
    return lambda: any(json.loads(line)["message"] == event for line in container.log().splitlines() if line.startswith("{"))


def wait_until_healthy(container: Container) -> None:
    """As Docker sees it, by the image's own check."""
    wait_until(lambda: container.inspect(".State.Health.Status") == "healthy", "the container is healthy", timeout_s=300)


def test_daemon_trains_hardened_in_half_a_gigabyte(image: str, mounts: list[str]) -> None:
    """A read-only root, no capabilities, no new privileges, no network; its status page; then SIGTERM, and exit 0 in time."""
    with running(image, mounts) as container:
        wait_until_healthy(container)
        wait_until(has_logged(container, "candidate_promoted"), "a champion", timeout_s=900)
        assert "version 1" in container.python(STATUS)
        assert container.stop(within_s=30) == 0
        assert container.inspect(".State.OOMKilled") == "false"
        assert has_logged(container, "daemon_stopped")()


def test_daemon_needs_no_shell(image: str, mounts: list[str]) -> None:
    """Only steps do; without one the daemon is ready, healthy, and ends as it should."""
    masked = [option for shell in ("/bin/sh", "/bin/bash", "/bin/dash") for option in ("--volume", f"/dev/null:{shell}:ro")]
    with running(image, [*mounts, *masked]) as container:
        wait_until(has_logged(container, "daemon_started"), "the daemon has started", timeout_s=120)
        wait_until_healthy(container)
        assert container.stop(within_s=30) == 0


def test_orphans_are_reaped(image: str, mounts: list[str]) -> None:
    """Process 1 takes in what killed runs leave behind."""
    with running(image, mounts) as container:
        wait_until(has_logged(container, "daemon_started"), "the daemon has started", timeout_s=120)
        orphan = container.python(AN_ORPHAN)
        gone = f"import os; print(not os.path.exists('/proc/{orphan}'))"
        wait_until(lambda: container.python(gone) == "True", f"process {orphan} is reaped")


def test_health_check_fails_when_nobody_answers(image: str, mounts: list[str]) -> None:
    """With one sentence that says so."""
    silent = [*mounts, "--env", "TRAINER_HTTP__LISTEN=127.0.0.1:9", "--entrypoint", "python3"]
    with running(image, silent, ["-c", "import threading; threading.Event().wait()"]) as container:
        said = container.python(CHECK)
    assert "returncode=1" in said
    assert "unhealthy: 127.0.0.1:9 does not answer" in said


def test_steps_of_a_cluster_find_what_they_start_with(image: str) -> None:
    """Kubeflow Pipelines starts a step by `sh`, `mktemp` and `python3 -m kfp.dsl.executor_main`, as the user of the image."""
    imports = "import kfp.dsl.executor_main, pipelines.steps.train_model"
    script = f"mktemp -d >/dev/null && _KFP_RUNTIME=true python3 -c '{imports}' && echo found"
    assert docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-ec", script) == "found"


def test_everything_is_compiled(image: str) -> None:
    """A read-only file system cannot keep what is compiled at the first start."""
    assert inside(image, UNCOMPILED) == "[]"


def test_image_says_what_it_is(image: str) -> None:
    """Its user is nobody else's, and the labels are those of the Open Container Initiative."""
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", image))
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert config["User"] == "10001:10001"
    assert labels["version"] == "1.2.3"
    assert {"title", "description", "licenses", "revision", "created"} <= labels.keys()
    assert docker("run", "--rm", *HARDENED, image, "--version").startswith("trainer-daemon ")


def test_image_carries_no_tools_of_its_build(image: str) -> None:
    """No wheels, no build back end, no tests of libraries."""
    assert inside(image, LEFT_OVER) == "[] False []"
