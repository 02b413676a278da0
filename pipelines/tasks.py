"""What every task of our pipelines runs with: one image, what it asks of the node, whether it is tried again, what it is called.

Whether a task is tried again. KFP, on a cluster as in `kfp.local`, tries again whatever has failed: it cannot be told a broken
drop from a broken node. So only tasks that judge no data and mostly wait for the registry have a retry policy: evaluating and
registering, where it spares a long training when MLflow is away for a minute. Reading a drop, training and predicting have none:
there the daemon decides, which knows from MLflow what has failed, quarantines a bad drop at once and repeats the rest as a new
attempt. Both may be tried again after any crash, since they find what an earlier try has left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kfp import dsl

DEFAULT_IMAGE = "trainer-daemon:0.1.0"
"""The image that the repository's Dockerfile makes; `kfp.local` ignores it, an installation names its own."""
_RETRIES, _FIRST_BACKOFF, _BACKOFF_MAX = 2, "5s", "60s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a task asks of the node, enough for some hundred thousand rows; nothing is limited here.

    Attributes:
        cpu: Kubernetes quantity.
        memory: Kubernetes quantity.
    """

    cpu: str
    memory: str


READING = Needs(cpu="500m", memory="1Gi")
TRAINING = Needs(cpu="1", memory="2Gi")
SCORING = Needs(cpu="500m", memory="1Gi")
REGISTERING = Needs(cpu="250m", memory="512Mi")
GREETING = Needs(cpu="100m", memory="128Mi")


def component(function: Callable[..., Any], image: str) -> Any:  # noqa: ANN401 - a KFP component
    """A step in a container image; nothing is installed when it runs.

    Args:
        function: One of `components`.
        image: Holds Python and this package.
    """
    return dsl.component(function, base_image=image, packages_to_install=[], install_kfp_package=False)


def ready(task: Any, name: str, needs: Needs) -> Any:  # noqa: ANN401 - a KFP task
    """Name a task and say what it needs.

    Args:
        task: The task, changed in place and returned.
        name: As people read it.
        needs: What it asks of the node.
    """
    return task.set_display_name(name).set_cpu_request(needs.cpu).set_memory_request(needs.memory)


def with_effect(task: Any) -> Any:  # noqa: ANN401 - a KFP task
    """Never take the task's result from a cache: what it is for is its effect elsewhere, which a cached result would not have."""
    return task.set_caching_options(enable_caching=False)


def tried_again(task: Any) -> Any:  # noqa: ANN401 - a KFP task
    """Try the task again when it fails; only for tasks that judge no data, see above."""
    return task.set_retry(_RETRIES, backoff_duration=_FIRST_BACKOFF, backoff_factor=2.0, backoff_max_duration=_BACKOFF_MAX)
