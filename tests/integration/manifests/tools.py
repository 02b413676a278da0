"""The tools that check manifests, and what they make of them."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "k8s"
OVERLAYS = ("base", "overlays/minikube", "overlays/multi-user", "overlays/postgres")
MLFLOW, MONITORING = "mlflow", "monitoring"

Manifest = dict[str, Any]


def tool(*names: str) -> str:
    """The path of the first of these programs that is installed; a machine of a developer may lack it, one of CI may not."""
    beside = Path(sys.executable).parent
    for name in names:
        if found := shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}"):
            return found
    message = f"{' or '.join(names)} is not installed"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool in the repository; fail with everything that it says."""
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout}{done.stderr}"
    return done


def run_with_input(text: str, *command: str | Path) -> str:
    """What a tool says about a text; fail when it refuses it."""
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@cache
def rendered(folder: Path) -> str:
    """What kustomize makes of a folder."""
    kustomize = tool("kubectl", "kustomize")
    verb = "kustomize" if Path(kustomize).name == "kubectl" else "build"
    return run(kustomize, verb, folder).stdout


def built(folder: Path) -> list[Manifest]:
    """The manifests that kustomize makes of a folder."""
    return list(yaml.safe_load_all(rendered(folder)))


def manifests(overlay: str) -> list[Manifest]:
    """The manifests of a folder of k8s."""
    return built(K8S / overlay)


def only(overlay: str, kind: str) -> Manifest:
    """The one manifest of a kind."""
    found = [manifest for manifest in manifests(overlay) if manifest["kind"] == kind]
    assert len(found) == 1, f"{overlay} has {len(found)} of kind {kind}"
    return found[0]


def container(overlay: str) -> dict[str, Any]:
    """The daemon's container."""
    containers: list[dict[str, Any]] = only(overlay, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in containers] == ["trainer-daemon"]
    return containers[0]


def environment(overlay: str) -> dict[str, str]:
    """The variables of the daemon's container that have a value in the manifest."""
    return {each["name"]: each["value"] for each in container(overlay).get("env", []) if "value" in each}
