"""Checks that do not depend on where runs are executed, as long as it is elsewhere."""

from trainer_daemon.policy.checks import Finding, ok, warning
from trainer_daemon.probing import Probe

_DIGEST = "@sha256:"


def image_probe(image: str) -> Probe:
    """Whether runs that name the same image run the same code."""
    return Probe(name="image", look=lambda: judge_image(image))


def judge_image(image: str) -> Finding:
    """Whether an image may be another one tomorrow."""
    tag = image.rpartition("/")[2].partition(":")[2]
    if _DIGEST in image or tag not in {"", "latest"}:
        return ok(f"steps run in {image}")
    return warning(
        f"steps run in {image}, which may be another image tomorrow",
        "name a version or a digest in orchestrator.image",
    )
