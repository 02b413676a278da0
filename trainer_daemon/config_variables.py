"""Environment variables as typed values, by pydantic-settings; imported only when there are any, since it is slow to import."""

import json
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from trainer_daemon.config_keys import DELIMITER, Scope

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings


class Variables(EnvSettingsSource):
    """The variables of one scope as a nested table, each of the type its field wants; lists and tables are TOML or JSON.

    Args:
        scope: Which section they override.
        texts: Their values by name; nothing else is looked at.
    """

    def __init__(self, scope: Scope, texts: Mapping[str, str]) -> None:
        # the source only reads the fields and the configuration of the class, which every pydantic model has
        section = cast("type[BaseSettings]", scope.section)
        super().__init__(section, case_sensitive=False, env_prefix=scope.prefix, env_nested_delimiter=DELIMITER)
        self.env_vars = {name.lower(): text for name, text in texts.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ANN401, ARG002 - as the base class
        """The value of a list or a table; what cannot be read stays text, so that the check of the field complains about it."""
        try:
            return tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            pass
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
