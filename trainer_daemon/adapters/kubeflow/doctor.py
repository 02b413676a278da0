"""Checks of Kubeflow Pipelines: whether it takes us, whether runs can be put there, what there trains beside the daemon."""

from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, assert_never

from trainer_daemon.adapters.kubeflow.api import KubeflowApi
from trainer_daemon.adapters.kubeflow.library import slug
from trainer_daemon.policy.checks import Finding, failed, ok, split_sentence, warning
from trainer_daemon.policy.recurring import RecurringRun, converted
from trainer_daemon.probing import Probe
from trainer_daemon.remote.doctor import image_probe
from trainer_daemon.remote.errors import Refused, Unauthenticated

if TYPE_CHECKING:
    from trainer_daemon.config_orchestrator import OrchestratorSettings

_CALLS_MAX = 4
"""In one check, apart from lists of many pages."""


def kubeflow_probes(api: KubeflowApi, settings: "OrchestratorSettings", pipelines: Collection[str]) -> tuple[Probe, ...]:
    """Whether the server answers, takes the credential, has the experiment, and trains nothing by itself.

    Args:
        api: The server.
        settings: How it is reached.
        pipelines: Names, as `slug` writes them, of those that train the configured models.
    """
    checks = _Checks(api, settings, pipelines)
    deadline_s = _CALLS_MAX * settings.request_timeout_s
    server = Probe(name="orchestrator", look=checks.look_at_server, deadline_s=deadline_s)
    credentials = Probe(name="credentials", look=checks.look_at_credentials, needs=(server,), deadline_s=deadline_s)
    admitted = (server, credentials)
    return (
        server,
        credentials,
        Probe(name="experiment", look=checks.look_at_experiment, needs=admitted, deadline_s=deadline_s),
        image_probe(settings.image),
        Probe(name="recurring runs", look=checks.look_at_recurring_runs, needs=admitted, deadline_s=deadline_s),
    )


class _Checks:
    def __init__(self, api: KubeflowApi, settings: "OrchestratorSettings", pipelines: Collection[str]) -> None:
        self._api = api
        self._settings = settings
        self._pipelines = pipelines

    def look_at_server(self) -> Finding:
        """Somebody who is turned away has reached it all the same."""
        try:
            is_multi_user = self._api.is_multi_user()
        except Unauthenticated:
            return ok(f"{self._settings.api_host} answers, and asks who we are")
        if is_multi_user and not self._settings.user_namespace:
            found = f"{self._settings.api_host} keeps the runs of users apart, and orchestrator.user_namespace is not set"
            return failed(found, "set orchestrator.user_namespace to the profile that runs belong to: kubectl get profiles")
        version = self._api.version()
        return ok(f"{self._settings.api_host} is healthy{f', version {version}' if version else ''}")

    def look_at_credentials(self) -> Finding:
        """By a call that needs them."""
        try:
            self._api.find_experiment(self._settings.experiment)
        except Unauthenticated as exc:
            return failed(split_sentence(str(exc))[0], credential_fix(self._settings))
        except Refused as exc:
            if exc.status != HTTPStatus.FORBIDDEN:
                raise
            return failed(str(exc), _permission(self._settings.user_namespace or self._settings.namespace))
        return ok(f'accepted (orchestrator.auth = "{self._settings.auth}")')

    def look_at_experiment(self) -> Finding:
        """Only said: it is made by the first run."""
        name = self._settings.experiment
        if self._api.find_experiment(name):
            return ok(f"{name} exists")
        return ok(f"{name} does not exist yet; the first run makes it")

    def look_at_recurring_runs(self) -> Finding:
        """Those that are enabled and execute a pipeline of ours."""
        runs = self._api.recurring_runs()
        beside = [run for run in runs if run.is_enabled and slug(run.pipeline) in self._pipelines]
        if not beside:
            return ok(f"none of {len(runs)} trains beside the daemon" if runs else "there are none")
        told = ", ".join(f"{run.name} ({run.trigger or 'no trigger'}, pipeline {run.pipeline})" for run in beside)
        return warning(f"{told} {_train(beside)} beside the daemon", "; ".join(self._way_out(run) for run in beside))

    def _way_out(self, run: RecurringRun) -> str:
        link = self._settings.recurring_run_link(run.id)
        try:
            converted(run)
        except ValueError:
            return f"disable {run.name} in the user interface{f', at {link}' if link else ''}: it can be no schedule of a model"
        return f"trainer-daemon import-schedule {run.id} --disable{f' (see {link})' if link else ''}"


def _train(runs: Sequence[RecurringRun]) -> str:
    return "trains" if len(runs) == 1 else "train"


def _permission(namespace: str) -> str:
    return (
        f"allow it: kubectl create rolebinding trainer-daemon --clusterrole=kubeflow-pipelines-edit "
        f"--serviceaccount=<its namespace>:<its service account> --namespace={namespace}"
    )


def credential_fix(settings: "OrchestratorSettings") -> str:
    """What makes a credential accepted, for each way to have one."""
    match settings.auth:
        case "none":
            return 'set orchestrator.auth: "service_account_token" inside the cluster, else "token", "dex" or "iap"'
        case "service_account_token":
            return "mount a projected token of the audience pipelines.kubeflow.org into the daemon's pod" + (
                f" at {settings.token_file}" if settings.token_file else ""
            )
        case "token":
            where = settings.token_file or f"the variable {settings.token_variable}"
            return f"put a new token into {where}: kubectl create token <service account> --audience=pipelines.kubeflow.org"
        case "dex":
            return f"log in at {settings.host} as {settings.username} with the password in {settings.password_file}; correct both"
        case "iap":
            return (
                "give the daemon's account the role roles/iap.httpsResourceAccessor, and see that orchestrator.client_id "
                f"is the OAuth client of the proxy at {settings.host}"
            )
        case _:
            assert_never(settings.auth)
