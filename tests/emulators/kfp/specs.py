"""Pipeline specs as they are uploaded or sent with a run, and which parameters they accept."""

import re
from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.emulators.kfp.refusal import refuse_invalid
from tests.emulators.kfp.store import Document

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,126}[a-z0-9])?")
_PARTS = ("pipelineInfo", "root", "deploymentSpec", "schemaVersion")
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "NUMBER_DOUBLE": ((int, float), "double or integer"),
    "NUMBER_INTEGER": ((int, float), "double or integer"),
    "STRING": ((str,), "string"),
    "BOOLEAN": ((bool,), "bool"),
    "LIST": ((list,), "list"),
    "STRUCT": ((dict,), "struct"),
}


def read(package: bytes) -> Document:
    """The spec in a compiled pipeline; with the platform's own part, if there is one, as the API shows both.

    Raises:
        RefusedError: It is not a compiled pipeline.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = [each for each in yaml.load_all(package, Loader=loader) if each]
    except yaml.YAMLError as exc:
        refuse_invalid(f"unknown template format: {exc}")
    spec, *platforms = documents or [None]
    shown = {"pipeline_spec": spec, "platform_spec": platforms[0]} if platforms else spec
    pipeline_part(shown)
    return shown


def pipeline_part(shown: Any) -> Document:  # noqa: ANN401 - JSON of a stranger
    """The spec without the platform's own part.

    Raises:
        RefusedError: It is none.
    """
    spec = shown.get("pipeline_spec", shown) if isinstance(shown, dict) else None
    if not isinstance(spec, dict) or not all(spec.get(part) for part in _PARTS):
        refuse_invalid("unknown template format: pipeline spec is invalid")
    name = spec["pipelineInfo"].get("name", "")
    if not _NAME.fullmatch(name):
        msg = f"Invalid pipeline name: {name!r}. Please specify a name that matches the regular expression {_NAME.pattern}"
        refuse_invalid(msg)
    return dict(spec)


def check_parameters(spec: Document, given: Mapping[str, Any]) -> None:
    """Accept a run's parameters.

    Raises:
        RefusedError: One is missing, has another type, or is not declared by the pipeline.
    """
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, definition in declared.items():
        if name in given:
            _check_type(name, definition["parameterType"], given[name])
        elif not definition.get("isOptional") and "defaultValue" not in definition:
            refuse_invalid(f"parameter {name} is not optional, yet has neither default value nor user provided value")
    if unknown := sorted(set(given) - set(declared)):
        refuse_invalid(f"parameter(s) provided are not required by pipeline: {', '.join(unknown)}")


def _check_type(name: str, kind: str, value: Any) -> None:  # noqa: ANN401 - JSON
    types, word = _TYPES[kind]
    is_right = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if not is_right:
        refuse_invalid(f"input parameter {name} requires type {word}, but the parameter value is not of {word} value type")
