"""What this installation changes in a compiled pipeline before it is uploaded, and the name the result goes by. Pure.

The format is KFP's pipeline_spec.proto as YAML holds it: executors by label, components by name, tasks in graphs.
"""

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trainer_daemon.errors import PermanentError

DEFAULT_STEP = "default"
"""In the tables by step: whatever has no entry of its own."""
_RETRY = {"backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "600s"}
_VERSION_DIGITS = 20
_UNITS: Mapping[str, float] = {
    "": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40
}  # fmt: skip
_GIGABYTE = 1e9
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustments:
    """How steps are executed here.

    Attributes:
        image: Of every step; empty leaves what was compiled.
        caching: Whether steps may be answered from the backend's cache where the pipeline allows it.
        cpu: By step, in Kubernetes' units; requested and limited alike.
        memory: By step, in Kubernetes' units; requested and limited alike.
        retries: By step, how often the backend starts it again when it fails.
    """

    image: str = ""
    caching: bool = False
    cpu: Mapping[str, str] = field(default_factory=dict)
    memory: Mapping[str, str] = field(default_factory=dict)
    retries: Mapping[str, int] = field(default_factory=dict)

    def unknown_steps(self, known: AbstractSet[str]) -> list[str]:
        """Steps in the tables that no pipeline has.

        Args:
            known: See `step_names`.
        """
        named = {*self.cpu, *self.memory, *self.retries} - {DEFAULT_STEP}
        return sorted(name for name in named if name.replace("_", "-") not in known)


def adjusted(spec: Mapping[str, Any], adjustments: Adjustments) -> dict[str, Any]:
    """A copy of a compiled pipeline with the adjustments made; the original is left alone."""
    result = copy.deepcopy(dict(spec))
    for label, executor in result.get("deploymentSpec", {}).get("executors", {}).items():
        if container := executor.get("container"):
            _adjust_container(container, label.removeprefix("exec-"), adjustments)
    steps = {name for name, component in result.get("components", {}).items() if "executorLabel" in component}
    for task in _tasks(result):
        _adjust_task(task, steps, adjustments)
    return result


def step_names(spec: Mapping[str, Any]) -> set[str]:
    """The steps of a pipeline, as the compiler writes their names."""
    return {label.removeprefix("exec-") for label in spec.get("deploymentSpec", {}).get("executors", {})}


def version_name(spec: Mapping[str, Any], code_digest: str) -> str:
    """The identity of an adjusted pipeline and the code that its image is made from; not of the SDK that compiled it.

    Args:
        spec: The adjusted pipeline.
        code_digest: The package's, since the pipeline itself only names its functions.
    """
    content = {name: value for name, value in spec.items() if name != "sdkVersion"}
    text = json.dumps([content, code_digest], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_VERSION_DIGITS]


def arguments(spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the parameters that the pipeline declares.

    Raises:
        PermanentError: It needs one that is not given, or one is not JSON.
    """
    declared = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    given = {name: value for name, value in parameters.items() if name in declared}
    missing = sorted(name for name, entry in declared.items() if name not in given and not entry.get("isOptional"))
    if missing:
        msg = f"the pipeline requires parameter {', '.join(missing)}, which was not given"
        raise PermanentError(msg)
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError) as exc:
        msg = f"the run's parameters cannot be written as JSON: {exc}"
        raise PermanentError(msg) from exc
    return given


def _adjust_container(container: dict[str, Any], step: str, adjustments: Adjustments) -> None:
    if adjustments.image:
        container["image"] = adjustments.image
    for resource, amounts in (("Cpu", adjustments.cpu), ("Memory", adjustments.memory)):
        if amount := _of(amounts, step):
            _limit(container.setdefault("resources", {}), resource, amount)


def _limit(resources: dict[str, Any], resource: str, amount: str) -> None:
    """Backends before 2.4 read a number, of cores or of gigabytes, newer ones the text; the SDK writes both, too."""
    number = _number(amount) / (_GIGABYTE if resource == "Memory" else 1)
    for kind in ("Request", "Limit"):
        resources[f"{resource.lower()}{kind}"] = number
        resources[f"resource{resource}{kind}"] = amount


def _number(amount: str) -> float:
    digits = amount.rstrip("mkMGTKi")
    return float(digits) * _UNITS[amount.removeprefix(digits)]


def _adjust_task(task: dict[str, Any], steps: set[str], adjustments: Adjustments) -> None:
    component = task.get("componentRef", {}).get("name", "")
    if not adjustments.caching and "cachingOptions" in task:
        task["cachingOptions"] = {}
    retries = _of(adjustments.retries, component.removeprefix("comp-"))
    if component not in steps or retries is None:
        return
    task.pop("retryPolicy", None)
    if retries:
        task["retryPolicy"] = {"maxRetryCount": retries, **_RETRY}


def _tasks(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of the pipeline and of every group inside it."""
    for component in (spec.get("root", {}), *spec.get("components", {}).values()):
        yield from component.get("dag", {}).get("tasks", {}).values()


def _of(by_step: Mapping[str, _T], step: str) -> _T | None:
    """Steps are called by their function's name here, which the compiler writes with hyphens."""
    named = {name.replace("_", "-"): value for name, value in by_step.items()}
    return named.get(step, named.get(DEFAULT_STEP))
