"""Vertex AI Pipelines as the orchestrator; the only package that imports its client, and only when it is first called."""

from trainer_daemon.adapters.vertex.api import Connection, VertexApi, Workload, default_credentials, require_client
from trainer_daemon.adapters.vertex.orchestrator import VertexOrchestrator

__all__ = ["Connection", "VertexApi", "VertexOrchestrator", "Workload", "default_credentials", "require_client"]
