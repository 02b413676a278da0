"""MLflow as the registry of models and evidence; it lives in a child process, since it needs 200 MiB and seconds to import."""

from trainer_daemon.adapters.registry.adapter import MlflowRegistry

__all__ = ["MlflowRegistry"]
