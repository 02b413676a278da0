"""Checks that do not depend on where runs are executed, as long as it is elsewhere."""

from collections.abc import Sequence

from trainer_daemon.policy.checks import Finding, ok, warning
from trainer_daemon.probing import Probe
from trainer_daemon.telemetry.redaction import redacted

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


def reach_probe(tracking_uri: str, folders: Sequence[str]) -> Probe:
    """Whether steps that run elsewhere can have what they need.

    Args:
        tracking_uri: Of MLflow.
        folders: Buckets that are folders of this machine.
    """
    return Probe(name="reach", look=lambda: judge_reach(tracking_uri, folders))


def judge_reach(tracking_uri: str, folders: Sequence[str]) -> Finding:
    """Whether drops and MLflow are anywhere but on this machine."""
    here = [*folders, *([tracking_uri] if tracking_uri.startswith("sqlite:") else [])]
    if not here:
        return ok(f"drops are in buckets; MLflow is {redacted(tracking_uri)}, which the steps have to reach, too")
    found = (
        f"{' and '.join(here)} {'are' if len(here) > 1 else 'is'} on this machine, where steps that run elsewhere find nothing"
    )
    return warning(found, "let models have a bucket, gs://…, and mlflow.tracking_uri be the URL of a server")
