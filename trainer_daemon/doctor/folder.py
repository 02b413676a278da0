"""Checks of a model whose bucket is a folder."""

import os

from trainer_daemon.config import ModelSettings
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.checks import Finding, ok
from trainer_daemon.policy.drop_names import judge_names
from trainer_daemon.probing import Probe


def folder_probes(settings: ModelSettings) -> tuple[Probe, ...]:
    """Whether the folder can be listed, and whether there are drops in it."""
    bucket = Probe(name="bucket", model=settings.name, look=lambda: _look_at_folder(settings))
    drops = Probe(name="drops", model=settings.name, look=lambda: _look_at_drops(settings), needs=(bucket,))
    return bucket, drops


def _look_at_folder(settings: ModelSettings) -> Finding:
    _names(settings)
    return ok(f"{settings.folder} can be listed")


def _look_at_drops(settings: ModelSettings) -> Finding:
    return judge_names(_names(settings), settings.drops, where=str(settings.folder))


def _names(settings: ModelSettings) -> list[str]:
    try:
        return os.listdir(settings.folder)  # noqa: PTH208 - names are enough
    except OSError as exc:
        msg = f"{settings.folder} cannot be listed: {exc.strerror}; create the folder or correct `bucket`"
        raise TemporaryError(msg) from exc
