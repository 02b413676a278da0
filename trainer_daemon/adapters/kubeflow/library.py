"""Pipelines on the server: each version is uploaded once, named by its digest, so that every run shows what it ran."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.kubeflow.api import KubeflowApi
from trainer_daemon.adapters.kubeflow.spec import Adjustments, adjusted, step_names, version_name
from trainer_daemon.errors import PermanentError, TemporaryError

_PREFIX = "trainer-"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version of a pipeline that is on the server.

    Attributes:
        spec: As it was uploaded.
    """

    pipeline_id: str
    version_id: str
    spec: Mapping[str, Any]


class Library:
    """Finds the version of a pipeline that a run is to reference, and uploads it when it is not there.

    Args:
        api: The server.
        compiled: Maps a pipeline's name to the path of the compiled one.
        adjustments: Made in every pipeline.
        code_digest: Of the package that the steps' image is made from.
        log: The daemon's.
    """

    def __init__(
        self,
        api: KubeflowApi,
        *,
        compiled: Callable[[str], Path],
        adjustments: Adjustments,
        code_digest: str,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._compiled = compiled
        self._adjustments = adjustments
        self._code_digest = code_digest
        self._log = log
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._has_checked_steps = False

    def edition(self, pipeline: str) -> Edition:
        """The version of a pipeline as it is to be executed here.

        Args:
            pipeline: As a run's request names it.

        Raises:
            PermanentError: There is no such pipeline, or the server refuses it.
            TemporaryError: The server does not answer.
        """
        path = self._compiled(pipeline)
        spec, *platform = _read(path, pipeline)
        self._check_steps(path)
        spec = adjusted(spec, self._adjustments)
        name, version = _title(path), version_name(spec, self._code_digest)
        if (name, version) not in self._known:
            self._known[name, version] = self._ids(name, version, yaml.dump_all([spec, *platform], Dumper=_DUMPER))
        pipeline_id, version_id = self._known[name, version]
        return Edition(pipeline_id=pipeline_id, version_id=version_id, spec=spec)

    def forget(self) -> None:
        """Somebody deleted something on the server: look again."""
        self._known.clear()

    def _check_steps(self, path: Path) -> None:
        """Say once which limits are for steps that no pipeline beside this one has either: a misspelt step has none."""
        if self._has_checked_steps:
            return
        self._has_checked_steps = True
        steps = {name for other in {path, *path.parent.glob("*.yaml")} for name in _steps_of(other)}
        if unknown := self._adjustments.unknown_steps(steps):
            self._log.warning("step_unknown", steps=unknown, known=sorted(step.replace("-", "_") for step in steps))

    def _ids(self, name: str, version: str, text: str) -> tuple[str, str]:
        pipeline_id = found_or_made(
            f"pipeline {name}", lambda: self._api.find_pipeline(name), lambda: self._api.create_pipeline(name)
        )

        def upload() -> str | None:
            made = self._api.upload_version(pipeline_id, version, text)
            if made:
                self._log.info("pipeline_uploaded", pipeline=name, version=version)
            return made

        version_id = found_or_made(f"version {version}", lambda: self._api.find_version(pipeline_id, version), upload)
        return pipeline_id, version_id


def titles(pipeline: str) -> tuple[str, ...]:
    """What a pipeline goes by on a server: uploaded by the daemon, or by somebody else under its own name.

    Args:
        pipeline: Name of one of ours, or the path of a compiled one.
    """
    title = _title(Path(pipeline))
    return title, title.removeprefix(_PREFIX)


def slug(name: str) -> str:
    """A pipeline's name without what people vary in it: `My_Training.yaml` is `my-training`."""
    return name.lower().removesuffix(".yaml").replace("_", "-").replace(" ", "-")


def _title(path: Path) -> str:
    return _PREFIX + path.stem.lower().replace("_", "-")


def found_or_made(what: str, find: Callable[[], str | None], make: Callable[[], str | None]) -> str:
    """The id of something that exists once: found, or made, or found after all because somebody else was faster.

    Args:
        what: Its name, for a person.
        find: Its id, None when there is none.
        make: Its id, None when it exists.

    Raises:
        TemporaryError: It exists, and is not found.
    """
    if found := find() or make() or find():
        return found
    msg = f"Kubeflow Pipelines has {what}, and does not list it; does it belong to another namespace?"
    raise TemporaryError(msg)


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
