"""Compiled pipelines as they are to be executed elsewhere: read from their files, with this installation's adjustments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from structlog.typing import FilteringBoundLogger

from trainer_daemon.errors import PermanentError
from trainer_daemon.remote.spec import Adjustments, adjusted, step_names, version_name

_PREFIX = "trainer-"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """A pipeline as it is to be executed.

    Attributes:
        title: What it goes by on a server.
        version: The identity of its content.
        spec: What is executed.
        platforms: What it wants of platforms, when it wants something.
    """

    title: str
    version: str
    spec: Mapping[str, Any]
    platforms: Sequence[Mapping[str, Any]] = ()


class Pipelines:
    """Reads and adjusts them.

    Args:
        compiled: Maps a pipeline's name to the path of the compiled one.
        adjustments: Made in every pipeline.
        code_digest: Of the package that the steps' image is made from.
        log: The daemon's.
    """

    def __init__(
        self, *, compiled: Callable[[str], Path], adjustments: Adjustments, code_digest: str, log: FilteringBoundLogger
    ) -> None:
        self._compiled = compiled
        self._adjustments = adjustments
        self._code_digest = code_digest
        self._log = log
        self._has_checked_steps = False

    def adjusted(self, pipeline: str) -> Adjusted:
        """A pipeline as it is to be executed here.

        Args:
            pipeline: As a run's request names it.

        Raises:
            PermanentError: There is no such pipeline.
        """
        path = self._compiled(pipeline)
        spec, *platforms = _read(path, pipeline)
        self._check_steps(path)
        spec = adjusted(spec, self._adjustments)
        return Adjusted(title=_title(path), version=version_name(spec, self._code_digest), spec=spec, platforms=platforms)

    def _check_steps(self, path: Path) -> None:
        """Say once which limits are for steps that no pipeline beside this one has either: a misspelt step has none."""
        if self._has_checked_steps:
            return
        self._has_checked_steps = True
        steps = {name for other in {path, *path.parent.glob("*.yaml")} for name in _steps_of(other)}
        if unknown := self._adjustments.unknown_steps(steps):
            self._log.warning("step_unknown", steps=unknown, known=sorted(step.replace("-", "_") for step in steps))


def titles(pipeline: str) -> tuple[str, ...]:
    """What a pipeline goes by on a server: uploaded by the daemon, or by somebody else under its own name.

    Args:
        pipeline: Name of one of ours, or the path of a compiled one.
    """
    title = _title(Path(pipeline))
    return title, title.removeprefix(_PREFIX)


def _title(path: Path) -> str:
    return _PREFIX + path.stem.lower().replace("_", "-")


def _steps_of(path: Path) -> set[str]:
    """None of a file that is no pipeline: other things may lie in the folder."""
    try:
        return step_names(_read(path, path.stem)[0])
    except PermanentError:
        return set()


def _read(path: Path, pipeline: str) -> list[dict[str, Any]]:
    """The documents of a compiled pipeline: itself, and what it wants of a platform when it wants something."""
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_LOADER))
    except FileNotFoundError as exc:
        msg = f"pipeline '{pipeline}' is not compiled: there is no file {path}"
        raise PermanentError(msg) from exc
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        msg = f"pipeline '{pipeline}' cannot be read from {path}: {exc}"
        raise PermanentError(msg) from exc
    if not documents or not all(isinstance(document, dict) for document in documents):
        msg = f"pipeline '{pipeline}' in {path} is no compiled pipeline"
        raise PermanentError(msg)
    return documents
