"""The section `[orchestrator]`: its keys, and which of them go together."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, assert_never

from pydantic import AfterValidator, Field, FiniteFloat

from trainer_daemon import config_values as values
from trainer_daemon.config_keys import Allowed, choices
from trainer_daemon.config_section import Section

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Where a projected token with the audience `pipelines.kubeflow.org` is mounted by convention."""

_CONSOLE = "https://console.cloud.google.com"
_ROOT = r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^\s]*)?"


@dataclass(frozen=True, slots=True)
class OnlyWith:
    """Marks a key that means something only while another key of its section has one of some values."""

    key: str
    values: tuple[str, ...]


_KUBEFLOW = OnlyWith("kind", ("kubeflow",))
_VERTEX = OnlyWith("kind", ("vertex",))
_REMOTE = OnlyWith("kind", ("kubeflow", "vertex"))
_TOKEN_FILE = OnlyWith("auth", ("service_account_token", "token"))
_FIXED_TOKEN = OnlyWith("auth", ("token",))
_DEX = OnlyWith("auth", ("dex",))
_IAP = OnlyWith("auth", ("iap",))

Url = Annotated[str, Allowed("http(s)://<host>, or empty"), AfterValidator(values.http_url)]
SecretPath = Annotated[str, Allowed("the path of a file, or empty"), AfterValidator(values.file_path), _KUBEFLOW]
Step = Annotated[str, Allowed("a step"), AfterValidator(values.step_name)]
Quantity = Annotated[str, Allowed("a quantity such as 500m or 4Gi"), AfterValidator(values.quantity)]
Quantities = Annotated[
    Mapping[Step, Quantity], Allowed('a table of step = quantity, such as { default = "1", train_model = "4" }')
]
Retries = Annotated[
    Mapping[Step, Annotated[int, Field(ge=0, le=20)]], Allowed("a table of step = number, such as { default = 1 }")
]


Labels = Annotated[
    Mapping[Annotated[str, AfterValidator(values.label_key)], Annotated[str, AfterValidator(values.label_value)]],
    Allowed('a table of label = value, such as { team = "churn" }'),
]


class OrchestratorSettings(Section):
    """Where pipelines run. Every key but the first two is for `kind = "kubeflow"` or `"vertex"`, as its meaning says."""

    kind: Literal["local", "kubeflow", "vertex"] = Field(
        "local",
        description="`local` runs pipelines on this machine with `kfp.local`, `kubeflow` on Kubeflow Pipelines, `vertex` on "
        "Vertex AI Pipelines.",
    )
    run_timeout_s: FiniteFloat = Field(21600.0, gt=0, description="A run that takes longer is ended as failed.")
    host: Annotated[Url, _REMOTE] = Field(
        "",
        description="URL that the API, `/apis/v2beta1`, is below; empty: the service of the cluster that the daemon runs in, "
        "`http://ml-pipeline.<namespace>:8888`. With `vertex`, the endpoint; empty: "
        "`https://<location>-aiplatform.googleapis.com`.",
    )
    project: Annotated[str, Allowed("the id of a project, or empty"), AfterValidator(values.google_project), _VERTEX] = Field(
        "", description="With `vertex`, the project that runs belong to; required with it."
    )
    location: Annotated[
        str, Allowed('a region such as "europe-west1", or empty'), AfterValidator(values.google_location), _VERTEX
    ] = Field("", description="With `vertex`, the region that runs are executed in; required with it.")
    network: Annotated[
        str,
        Allowed("projects/<number>/global/networks/<name>, or empty"),
        AfterValidator(values.google_network),
        _VERTEX,
    ] = Field("", description="With `vertex`, the VPC network that the steps are peered with; empty: none.")
    labels: Annotated[Labels, _VERTEX] = Field({}, description="With `vertex`, further labels of every run, as for bills.")
    namespace: Annotated[str, Allowed("a name of Kubernetes"), AfterValidator(values.kubernetes_name), _KUBEFLOW] = Field(
        "kubeflow", min_length=1, description="Where Kubeflow Pipelines is installed, when `host` is empty."
    )
    user_namespace: Annotated[
        str, Allowed("a name of Kubernetes, or empty"), AfterValidator(values.kubernetes_name), _KUBEFLOW
    ] = Field("", description="The profile that runs belong to, on a multi-user installation.")
    ui_url: Annotated[Url, _KUBEFLOW] = Field(
        "", description="URL of the user interface, for links to runs: what is before `/#/runs`; empty: no links."
    )
    auth: Annotated[Literal["none", "service_account_token", "token", "dex", "iap"], _KUBEFLOW] = Field(
        "none",
        description="How the daemon says who it is: `service_account_token` by the token that Kubernetes mounts and renews, "
        "`token` by a bearer token, `dex` by logging in at the gateway, `iap` by Google's Identity-Aware Proxy.",
    )
    token_file: Annotated[SecretPath, _TOKEN_FILE] = Field(
        "",
        description="Holds the token; read again for every request. Empty with `service_account_token`: "
        f"`{SERVICE_ACCOUNT_TOKEN}`.",
    )
    token_variable: Annotated[str, Allowed("the name of an environment variable, or empty"), _KUBEFLOW, _FIXED_TOKEN] = Field(
        "", description="With `token`, the environment variable that holds it, instead of a file."
    )
    username: Annotated[str, _KUBEFLOW, _DEX] = Field("", description="With `dex`, who logs in.")
    password_file: Annotated[SecretPath, _DEX] = Field("", description="With `dex`, holds the password; read at every login.")
    client_id: Annotated[str, _KUBEFLOW, _IAP] = Field("", description="With `iap`, the OAuth client of the proxy.")
    cookies_file: SecretPath = Field(
        "", description="Further cookies for every request, on one line: `name=value; other=value`; read again for every request."
    )
    ca_file: Annotated[str, Allowed("the path of a file, or empty"), AfterValidator(values.existing_file), _KUBEFLOW] = Field(
        "", description="Certificates, in PEM, that the server's is checked against instead of the usual ones."
    )
    request_timeout_s: Annotated[FiniteFloat, _REMOTE] = Field(
        30.0, ge=1, le=600, description="A call of the API that takes longer counts as failed and is repeated."
    )
    look_interval_s: Annotated[FiniteFloat, _REMOTE] = Field(
        2.0,
        ge=0.1,
        le=30,
        description="After a run has changed, the runs are listed so soon again; while nothing happens ever more rarely, at "
        "last twice a minute.",
    )
    experiment: Annotated[str, _KUBEFLOW] = Field(
        "trainer-daemon", min_length=1, description="The experiment that runs are put into; made when missing."
    )
    pipeline_root: Annotated[str, _REMOTE] = Field(
        "",
        description="Where artifacts are kept, such as `gs://bucket/runs`; empty: the installation's choice. Required with "
        "`vertex`.",
    )
    service_account: Annotated[str, Allowed("a service account, or empty"), AfterValidator(values.account_name), _REMOTE] = Field(
        "",
        description="That the steps run as: a name of Kubernetes or, with `vertex`, an e-mail address; empty: the installation's "
        "choice.",
    )
    image: Annotated[str, _REMOTE] = Field(
        "", description="Container image of the steps; required with `kubeflow` and with `vertex`."
    )
    caching: Annotated[bool, _REMOTE] = Field(
        default=False, description="Whether the backend may answer a step from its cache, where the pipeline allows it."
    )
    archive_superseded: Annotated[bool, _KUBEFLOW] = Field(
        default=False, description="Whether superseded runs are archived, so that the user interface shows them no more."
    )
    cpu: Annotated[Quantities, _REMOTE] = Field(
        {}, description="Cores that a step requests and is limited to; `default` is for steps without an entry."
    )
    memory: Annotated[Quantities, _REMOTE] = Field(
        {}, description="Memory that a step requests and is limited to; `default` is for steps without an entry."
    )
    retries: Annotated[Retries, _REMOTE] = Field(
        {}, description="How often the backend starts a failing step again; `default` is for steps without an entry."
    )

    @property
    def api_host(self) -> str:
        """URL that the API is below."""
        if self.kind == "vertex":
            return self.host or f"https://{self.location}-aiplatform.googleapis.com"
        return self.host or f"http://ml-pipeline.{self.namespace}:8888"

    @property
    def title(self) -> str:
        """Its name, for a person."""
        return {"local": "this machine", "kubeflow": "Kubeflow Pipelines", "vertex": "Vertex AI"}[self.kind]

    def run_link(self, run_id: str) -> str:
        """The page of a run in the user interface; empty when nobody said where that is."""
        if self.kind == "vertex":
            page = f"{_CONSOLE}/vertex-ai/locations/{self.location}/pipelines/runs/{run_id}?project={self.project}"
            return page if run_id else ""
        return f"{self.ui_url}/#/runs/details/{run_id}" if self.ui_url and run_id else ""

    def log_command(self, run_id: str) -> str:
        """A command line that shows what the steps of a run print, with Kubeflow Pipelines as long as their pods are there."""
        if self.kind == "vertex":
            job = f'resource.type="aiplatform.googleapis.com/PipelineJob" AND resource.labels.pipeline_job_id="{run_id}"'
            return f"gcloud logging read '{job}' --project={self.project}"
        namespace = self.user_namespace or self.namespace
        return f"kubectl logs --namespace {namespace} --selector pipeline/runid={run_id} --container main --prefix --tail=-1"

    def recurring_run_link(self, recurring_run_id: str) -> str:
        """The page of a recurring run in the user interface; empty when nobody said where that is."""
        return f"{self.ui_url}/#/recurringrun/details/{recurring_run_id}" if self.ui_url else ""


def orchestrator_problems(settings: OrchestratorSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """Sentences about keys that are set and mean nothing, and about keys that are missing."""
    yield from strays(settings, "orchestrator")
    match settings.kind:
        case "kubeflow":
            yield from _missing(settings, environ)
            yield from _no_account_of_kubernetes(settings)
        case "vertex":
            yield from _missing_of_vertex(settings)
        case "local":
            pass
        case _:
            assert_never(settings.kind)


def strays(section: Section, name: str) -> Iterator[str]:
    """Sentences about keys that are set and mean nothing.

    Args:
        section: Whose keys are marked with `OnlyWith`.
        name: As the section is called in messages.
    """
    for key, field in type(section).model_fields.items():
        marks = (mark for mark in field.metadata if isinstance(mark, OnlyWith) and getattr(section, key) != field.default)
        if stray := next((mark for mark in marks if getattr(section, mark.key) not in mark.values), None):
            condition = f"{name}.{stray.key} is {choices(stray.values)}"
            yield f"{name}.{key} is set, but means nothing unless {condition}; remove it"


def _missing_of_vertex(settings: OrchestratorSettings) -> Iterator[str]:
    wanted = {
        "project": "the project that runs belong to",
        "location": 'the region that runs are executed in, such as "europe-west1"',
        "pipeline_root": "a place for artifacts, such as gs://bucket/runs",
        "image": "the container image of the steps",
    }
    for name, what in wanted.items():
        if not getattr(settings, name):
            yield f'orchestrator.{name} is missing; orchestrator.kind = "vertex" needs {what}'
    root, account = settings.pipeline_root, settings.service_account
    if root and not re.fullmatch(_ROOT, root):
        yield f'orchestrator.pipeline_root is "{root}", but must be gs://bucket/folder with orchestrator.kind = "vertex"'
    if account and "@" not in account:
        yield f'orchestrator.service_account is "{account}", but must be an e-mail address with orchestrator.kind = "vertex"'


def _no_account_of_kubernetes(settings: OrchestratorSettings) -> Iterator[str]:
    if "@" in settings.service_account:
        yield (
            f'orchestrator.service_account is "{settings.service_account}", but must be a name of Kubernetes with '
            'orchestrator.kind = "kubeflow"'
        )


def _missing(settings: OrchestratorSettings, environ: Mapping[str, str]) -> Iterator[str]:
    wanted = {"image": 'orchestrator.kind = "kubeflow" needs the container image of the steps'}
    match settings.auth:
        case "dex":
            wanted |= {"host": _needs("dex", "the URL of the gateway"), "username": _needs("dex", "who logs in")}
            wanted |= {"password_file": _needs("dex", "the file with the password")}
        case "iap":
            wanted |= {"host": _needs("iap", "the URL that the proxy protects"), "client_id": _needs("iap", "its OAuth client")}
        case "token":
            yield from _token_problems(settings, environ)
        case _:
            pass
    yield from (f"orchestrator.{name} is missing; {why}" for name, why in wanted.items() if not getattr(settings, name))


def _needs(auth: str, what: str) -> str:
    return f'orchestrator.auth = "{auth}" needs {what}'


def _token_problems(settings: OrchestratorSettings, environ: Mapping[str, str]) -> Iterator[str]:
    if bool(settings.token_file) == bool(settings.token_variable):
        yield 'orchestrator.auth = "token" needs either orchestrator.token_file or orchestrator.token_variable, and not both'
    elif settings.token_variable and not environ.get(settings.token_variable):
        # not repeated here: somebody may have put the token itself there
        yield "orchestrator.token_variable must be the name of an environment variable that holds the token; there is none"
