"""A Docker engine, an image of this repository made on a base of this machine, and containers that always end."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE, IMAGE = "trainer-daemon-test-base", "trainer-daemon-test"
BASE_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv,tini"
HARDENED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none", "--pids-limit", "256"),
    *("--memory", "512m", "--memory-swap", "512m", "--tmpfs", "/tmp:mode=1777,size=64m"),  # noqa: S108 - a path of the container
)


def docker(*arguments: str | Path, timeout_s: float = 120.0) -> str:
    """What a command of Docker prints; fail with what it says when it fails."""
    done = subprocess.run(
        ["docker", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"docker {arguments[0]}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout.strip()


def require_engine() -> None:
    """Skip without a Docker engine, or without what a base or the wheels are made of."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker here")
    answer = subprocess.run(["docker", "version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    if answer.returncode != 0:
        pytest.skip("no Docker engine answers")
    if not any((ROOT / "wheelhouse").glob("*.whl")):
        pytest.skip("the folder wheelhouse is empty; `make wheelhouse` fills it")
    if not (os.environ.get("PYTHON_IMAGE") or (shutil.which("mmdebstrap") and os.geteuid() == 0)):
        pytest.skip("no base: name an image with PYTHON_IMAGE, or install mmdebstrap and be root")


def base_image() -> str:
    """The base that PYTHON_IMAGE names, or one made here, of Debian's packages, since no registry may be in reach."""
    if named := os.environ.get("PYTHON_IMAGE"):
        return named
    if not docker("images", "--quiet", BASE):
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "base.tar"
            options = ("--mode=root", "--variant=minbase", f"--include={BASE_PACKAGES}", "--format=tar")
            subprocess.run(["mmdebstrap", *options, "bookworm", archive], check=True, capture_output=True, timeout=900)
            docker("import", archive, BASE, timeout_s=300)
    return BASE


def build() -> str:
    """The image of this repository; the build has no network, all it needs is in the wheelhouse."""
    arguments = ("--build-arg", f"PYTHON_IMAGE={base_image()}", "--build-arg", "PIP_NO_INDEX=1", "--build-arg", "VERSION=1.2.3")
    docker("build", "--network", "none", *arguments, "--tag", IMAGE, ".", timeout_s=1800)
    return IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that runs."""

    identity: str

    def inspect(self, field: str) -> str:
        """One field of what Docker knows of it, as a Go template names it."""
        return docker("inspect", "--format", f"{{{{{field}}}}}", self.identity)

    def log(self) -> str:
        """Everything that it wrote to standard output."""
        return docker("logs", self.identity)

    def python(self, code: str) -> str:
        """What a program prints that runs beside the daemon."""
        return docker("exec", self.identity, "python3", "-c", code)

    def stop(self, within_s: int) -> int:
        """End it with SIGTERM, after the time with SIGKILL; its exit code."""
        docker("stop", "--time", str(within_s), self.identity)
        return int(self.inspect(".State.ExitCode"))


@contextmanager
def running(image: str, options: Sequence[str | Path] = (), command: Sequence[str] = ()) -> Iterator[Container]:
    """A container, hardened, for as long as the context lasts."""
    identity = docker("run", "--detach", *HARDENED, *options, image, *command)
    try:
        yield Container(identity=identity)
    finally:
        docker("rm", "--force", identity)
