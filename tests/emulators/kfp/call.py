"""One request, as the handlers see it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.emulators.kfp.store import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request whose caller is known.

    Attributes:
        path: The parameters in the path.
        query: The parameters behind it.
        body: The JSON, or an empty object.
        upload: The file of a multipart request.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    upload: bytes | None = None


Handler = Callable[[Call], Document]
Routes = Mapping[tuple[str, str], Handler]
"""By method and path below `/apis/v2beta1`."""
