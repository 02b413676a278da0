"""What every section of the configuration has in common."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from trainer_daemon.config_keys import is_confidential
from trainer_daemon.telemetry.redaction import MASK, redacted


class Section(BaseModel):
    """Frozen, strict about types and names, and silent about secrets."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            shown = redacted(value) if isinstance(value, str) else value
            yield name, MASK if is_confidential(type(self).model_fields.get(name or "")) else shown
