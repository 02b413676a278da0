"""Checks of Vertex AI: whether it takes us, whether steps can be started there, and whether they can write what they make."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

from trainer_daemon.adapters.vertex.api import VertexApi
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy import gcloud
from trainer_daemon.policy.checks import Finding, failed, ok, split_sentence, warning
from trainer_daemon.probing import Probe
from trainer_daemon.remote.doctor import image_probe
from trainer_daemon.remote.errors import Unauthenticated

if TYPE_CHECKING:
    from trainer_daemon.config_orchestrator import OrchestratorSettings

_CALLS_MAX = 3
_WRITE = ("storage.objects.create", "storage.objects.get")
_DISABLED = "SERVICE_DISABLED"
_STORAGE_S = 10.0
_ROLE = "roles/storage.objectUser"
_SET_UP = "trainer-daemon setup-gcp --print"
_ADMISSION_FIX = "get credentials: gcloud auth application-default login, or run as a service account"


def vertex_probes(api: VertexApi, settings: "OrchestratorSettings") -> tuple[Probe, ...]:
    """Whether the API is enabled and takes the credential, the steps' account is usable, and the pipeline root writable.

    Args:
        api: The service.
        settings: How it is used.
    """
    checks = _Checks(api, settings)
    deadline_s = _CALLS_MAX * settings.request_timeout_s
    service = Probe(name="orchestrator", look=checks.look_at_service, deadline_s=deadline_s)
    account = Probe(name="service account", look=checks.look_at_account, needs=(service,), deadline_s=deadline_s)
    root = Probe(name="pipeline root", look=checks.look_at_root, deadline_s=_CALLS_MAX * _STORAGE_S)
    return service, account, root, image_probe(settings.image)


class _Checks:
    def __init__(self, api: VertexApi, settings: "OrchestratorSettings") -> None:
        self._api = api
        self._settings = settings

    def look_at_service(self) -> Finding:
        """By a call that needs everything: the region, the API, the credential, and the permission to list."""
        from trainer_daemon.adapters.vertex.errors import Forbidden

        project, location = self._settings.project, self._settings.location
        try:
            self._api.require_admission()
        except Forbidden as exc:
            if exc.reason == _DISABLED:
                return failed(str(exc), gcloud.line(gcloud.enable_api("aiplatform.googleapis.com", project)))
            return failed(str(exc), f"let the daemon's account create, list, look at and cancel pipeline jobs: {_SET_UP}")
        except Unauthenticated as exc:
            return failed(split_sentence(str(exc))[0], _ADMISSION_FIX)
        except PermanentError as exc:
            fix = f"correct orchestrator.project ({project}) or orchestrator.location ({location})"
            return failed(str(exc), _corrected(location) or fix)
        except TemporaryError as exc:
            if fix := _corrected(location):
                return failed(split_sentence(str(exc))[0], fix)
            raise
        return ok(f"{self._settings.api_host} takes the credential; runs are in {project}, {location}")

    def look_at_account(self) -> Finding:
        """Without one, steps run as an account that may do nearly everything in the project."""
        from trainer_daemon.adapters.vertex.errors import Forbidden

        account = self._settings.service_account
        if not account:
            return warning(
                "steps run as the Compute Engine default service account, which often may change the whole project",
                f"make an account for them and name it in orchestrator.service_account: {_SET_UP}",
            )
        grant = gcloud.grant_on_account(account, "serviceAccount:THE_ACCOUNT_OF_THE_DAEMON", "roles/iam.serviceAccountUser")
        try:
            if self._api.may_act_as(account):
                return ok(f"steps run as {account}")
        except Forbidden as exc:
            enable = gcloud.enable_api("iam.googleapis.com", self._settings.project)
            return failed(str(exc), gcloud.line(enable if exc.reason == _DISABLED else grant))
        except PermanentError as exc:
            return failed(f"there is no service account {account}: {exc}", f"make it: {_SET_UP}")
        return failed(f"the daemon may not start steps as {account}, or there is no such account", gcloud.line(grant))

    def look_at_root(self) -> Finding:
        """Only the steps write there, so only what this account may do itself can be known from here."""
        from trainer_daemon.adapters.vertex.storage import missing_permissions

        root = self._settings.pipeline_root
        bucket = root.removeprefix("gs://").partition("/")[0]
        missing = missing_permissions(bucket, _WRITE, timeout_s=_STORAGE_S)
        if missing is None:
            make = gcloud.create_bucket(bucket, self._settings.location, f"--project={self._settings.project}")
            return failed(f"there is no bucket {bucket}", gcloud.line(make))
        if not missing:
            return ok(f"{root} is writable")
        account = self._settings.service_account
        grant = gcloud.line(gcloud.grant_on_bucket(bucket, f"serviceAccount:{account or 'THE_ACCOUNT_OF_THE_STEPS'}", _ROLE))
        found = f"{root} exists; this account may not write there, and need not: whether the steps may is not known from here"
        return warning(found, f"see by trainer-daemon doctor --run-hello; if they may not: {grant}")


def _corrected(location: str) -> str:
    """What to do about a region that does not answer as one; the list of the SDK may be older than the region."""
    from google.cloud.aiplatform.constants.base import SUPPORTED_REGIONS

    if location in SUPPORTED_REGIONS:
        return ""
    near = get_close_matches(location, sorted(SUPPORTED_REGIONS), n=1)
    return f"correct orchestrator.location: {location} is no region of Vertex AI" + (f"; did you mean {near[0]}?" if near else "")
