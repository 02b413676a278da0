"""Which names resources may have."""

import re

from tests.emulators.pubsub.refusal import invalid

_NAME = re.compile(r"projects/[^/]+/(topics|subscriptions|snapshots)/(?!goog)[A-Za-z][\w.~+%-]{2,254}", re.ASCII)


def check_name(name: str, collection: str) -> None:
    """Accept the name of a new resource.

    Args:
        name: Such as `projects/p/topics/t`.
        collection: `topics`, `subscriptions` or `snapshots`.

    Raises:
        RefusedError: The name is none of that collection's.
    """
    match = _NAME.fullmatch(name)
    if match is None or match[1] != collection:
        message = f"Invalid [{collection}] name: (name={name})"
        raise invalid(message)


def project_of(name: str) -> str:
    """The project's identifier in a resource's name."""
    return name.split("/")[1]


def short(name: str) -> str:
    """The last part of a resource's name."""
    return name.rsplit("/", 1)[-1]
