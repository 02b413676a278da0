"""The sections `[[notifications]]`: their keys, and which of them go together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat

from trainer_daemon import config_values as values
from trainer_daemon.config_keys import Allowed, Confidential
from trainer_daemon.config_orchestrator import OnlyWith, strays
from trainer_daemon.config_section import Section
from trainer_daemon.policy.notices import Addressee, NoticeKind

_SIGNED = OnlyWith("format", ("cloudevents",))

Kind = Annotated[str, AfterValidator(values.notice_kind)]


class NotificationSettings(Section):
    """An endpoint that is told what became of drops and candidates. Without any, nobody is told and nothing is kept for it."""

    name: Annotated[str, Allowed('up to 64 letters, digits, "_" and "-"')] = Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["ops"], description="What the endpoint is called in logs and metrics."
    )
    url: Annotated[str, Allowed("http(s)://<host>/<path>"), Confidential(), AfterValidator(values.webhook_url)] = Field(
        examples=["https://example.com/hooks/trainer"],
        description="Where notifications are posted; never told, since it may hold a secret. Redirects are not followed, "
        "proxies not asked. Keep it out of the file by the environment variable where it is secret.",
    )
    format: Literal["cloudevents", "slack"] = Field(
        "cloudevents", description='`cloudevents` is signed JSON for programs, `slack` one sentence for people, `{"text": …}`.'
    )
    events: Annotated[
        tuple[Kind, ...],
        Allowed("a list of " + ", ".join(f'"{kind}"' for kind in NoticeKind)),
        AfterValidator(values.not_empty),
        Field(strict=False),
    ] = Field(tuple(map(str, NoticeKind)), description="What it is told of.")
    secret_file: Annotated[str, Allowed("the path of a file, or empty"), AfterValidator(values.file_path), _SIGNED] = Field(
        "",
        description="With `cloudevents`, holds the secret that notifications are signed with, of at least 16 bytes; read again "
        "for every one. While it is being replaced: the old one and the new one, one a line.",
    )
    secret_variable: Annotated[str, Allowed("the name of an environment variable, or empty"), _SIGNED] = Field(
        "", description="With `cloudevents`, the environment variable that holds the secret, instead of a file."
    )
    ca_file: Annotated[str, Allowed("the path of a file, or empty"), AfterValidator(values.existing_file)] = Field(
        "", description="Certificates, in PEM, that the server's is checked against instead of the usual ones."
    )
    timeout_s: FiniteFloat = Field(
        10.0, gt=0, le=60, description="A delivery that takes longer counts as failed and is repeated."
    )

    @property
    def addressee(self) -> Addressee:
        """Who wants to be told what."""
        return Addressee(name=self.name, kinds=frozenset(map(NoticeKind, self.events)))


def notification_problems(endpoints: Sequence[NotificationSettings], environ: Mapping[str, str]) -> Iterator[str]:
    """Sentences about keys that are set and mean nothing, and about secrets that are missing."""
    for endpoint in endpoints:
        key = f"notifications[{endpoint.name}]"
        yield from strays(endpoint, key)
        if endpoint.format != "cloudevents":
            continue
        if bool(endpoint.secret_file) == bool(endpoint.secret_variable):
            yield f'{key}.format = "cloudevents" needs either {key}.secret_file or {key}.secret_variable, and not both'
        elif endpoint.secret_variable and not environ.get(endpoint.secret_variable):
            # not repeated here: somebody may have put the secret itself there
            yield f"{key}.secret_variable must be the name of an environment variable that holds the secret; there is none"
