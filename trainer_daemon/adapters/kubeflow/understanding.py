"""Answers of the API that are JSON, but not what the API describes: an error of ours, never one of the generated client's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import kfp_server_api as kfp

from trainer_daemon.errors import TemporaryError
from trainer_daemon.remote.runs import one_line

_STRANGE = (kfp.ApiException, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the generated client raises of such an answer, depending on where it is wrong."""


class Client(kfp.ApiClient):  # type: ignore[misc] # the library has no types
    """The generated client, which says of a strange answer that it is one."""

    def deserialize(self, response: Any, response_type: str) -> Any:  # noqa: ANN401 - as the base class
        """The model that an answer describes.

        Raises:
            TemporaryError: It describes none.
        """
        with understood(response_type):
            return super().deserialize(response, response_type)


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Within it, an answer is read; it says nothing about a run when it is no answer of the API.

    Args:
        what: The model that it should be.
    """
    try:
        yield
    except _STRANGE as exc:
        told = one_line(str(getattr(exc, "reason", "") or exc))
        msg = f"an answer of Kubeflow Pipelines is no {what}: {told}; is orchestrator.host right?"
        raise TemporaryError(msg) from exc


def listed(page: Any, items: str) -> Sequence[Any]:  # noqa: ANN401 - a model of an untyped library
    """What a page lists under a name."""
    return [item for item in getattr(page, items) or () if item is not None]


def moment(value: datetime | None) -> datetime | None:
    """In UTC; the server writes the beginning of time for what has not happened yet."""
    if value is None or value.replace(tzinfo=None) <= datetime(1970, 1, 1):  # noqa: DTZ001 - the same in any zone, nearly
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def required(name: str, value: Any) -> Any:  # noqa: ANN401 - as above
    """The value, which must not be missing."""
    if value is None or value == "":
        msg = f"it lacks {name}"
        raise ValueError(msg)
    return value


def identity(name: str, value: Any) -> str:  # noqa: ANN401 - as above
    """An id: it comes into the ledger, into log lines and into other addresses of the API."""
    text = str(required(name, value))
    if not text.isprintable():
        msg = f"its {name} is none"
        raise ValueError(msg)
    return text
