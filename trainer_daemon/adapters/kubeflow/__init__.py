"""Kubeflow Pipelines as the orchestrator; the only package that imports its client."""

from trainer_daemon.adapters.kubeflow.api import Connection, KubeflowApi
from trainer_daemon.adapters.kubeflow.credentials import (
    CookiesFile,
    Credentials,
    FixedToken,
    IapToken,
    NoCredentials,
    TokenFile,
)
from trainer_daemon.adapters.kubeflow.dex import DexSession, Login
from trainer_daemon.adapters.kubeflow.library import Library
from trainer_daemon.adapters.kubeflow.orchestrator import KubeflowOrchestrator, Placement

__all__ = [
    "Connection",
    "CookiesFile",
    "Credentials",
    "DexSession",
    "FixedToken",
    "IapToken",
    "KubeflowApi",
    "KubeflowOrchestrator",
    "Library",
    "Login",
    "NoCredentials",
    "Placement",
    "TokenFile",
]
