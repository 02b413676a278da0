"""Namespaces: ignored by an installation for one user, required by one for many."""

from collections.abc import Mapping
from typing import Any

from tests.emulators.kfp.refusal import refuse_invalid


class Scopes:
    """Says which namespace a request is about.

    Args:
        is_multi_user: Whether namespaces matter.
    """

    def __init__(self, *, is_multi_user: bool) -> None:
        self.is_multi_user = is_multi_user

    def of(self, fields: Mapping[str, Any]) -> str:
        """The namespace in a query or a body; "" without many users, whatever was asked."""
        return str(fields.get("namespace") or "") if self.is_multi_user else ""

    def required(self, fields: Mapping[str, Any], what: str) -> str:
        """The same, for what must have one.

        Raises:
            RefusedError: There are many users, and none is named.
        """
        scope = self.of(fields)
        if self.is_multi_user and not scope:
            refuse_invalid(f"{what} cannot have an empty namespace in multi-user mode")
        return scope
