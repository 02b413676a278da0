"""What every section of the configuration has in common."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from trainer_daemon.telemetry.redaction import redacted


class Section(BaseModel):
    """Frozen, strict about types and names, and silent about secrets."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, redacted(value) if isinstance(value, str) else value
