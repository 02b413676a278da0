"""Pipelines on the server: each version is uploaded once, named by its digest, so that every run shows what it ran."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]
from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.kubeflow.api import KubeflowApi
from trainer_daemon.errors import TemporaryError
from trainer_daemon.remote.pipelines import Pipelines

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
        pipelines: As they are to be executed.
        log: The daemon's.
    """

    def __init__(self, api: KubeflowApi, pipelines: Pipelines, *, log: FilteringBoundLogger) -> None:
        self._api = api
        self._pipelines = pipelines
        self._log = log
        self._known: dict[tuple[str, str], tuple[str, str]] = {}

    def edition(self, pipeline: str) -> Edition:
        """The version of a pipeline as it is to be executed here.

        Args:
            pipeline: As a run's request names it.

        Raises:
            PermanentError: There is no such pipeline, or the server refuses it.
            TemporaryError: The server does not answer.
        """
        wanted = self._pipelines.adjusted(pipeline)
        name, version = wanted.title, wanted.version
        if (name, version) not in self._known:
            text = yaml.dump_all([wanted.spec, *wanted.platforms], Dumper=_DUMPER)
            self._known[name, version] = self._ids(name, version, text)
        pipeline_id, version_id = self._known[name, version]
        return Edition(pipeline_id=pipeline_id, version_id=version_id, spec=wanted.spec)

    def forget(self) -> None:
        """Somebody deleted something on the server: look again."""
        self._known.clear()

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


def slug(name: str) -> str:
    """A pipeline's name without what people vary in it: `My_Training.yaml` is `my-training`."""
    return name.lower().removesuffix(".yaml").replace("_", "-").replace(" ", "-")


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
