"""One endpoint that is notified: how a notice looks to it, and who signs it."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from trainer_daemon.adapters.webhook import Webhook
from trainer_daemon.config_notifications import NotificationSettings
from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.notice_text import slack_text
from trainer_daemon.policy.notices import Notice
from trainer_daemon.policy.redelivery import Reply
from trainer_daemon.policy.signature import parse_secrets, signed_headers


class Endpoint:
    """Sends notices in the format that is configured.

    Args:
        settings: Of the endpoint.
        environment: Which installation this is.
    """

    def __init__(self, settings: NotificationSettings, environment: str) -> None:
        self.name = settings.name
        self.timeout_s = settings.timeout_s
        self._settings = settings
        self._environment = environment
        self._webhook = Webhook(settings.url, timeout_s=settings.timeout_s, ca_file=settings.ca_file)

    def send(self, notice: Notice, now: datetime) -> Reply:
        """Send a notice, and return what was answered.

        Raises:
            TemporaryError: There is no answer, or no secret to sign with.
        """
        if self._settings.format == "slack":
            return self._webhook.post(json.dumps({"text": slack_text(notice)}).encode(), {"Content-Type": "application/json"})
        from trainer_daemon.adapters.cloud_events import CONTENT_TYPE, structured  # only who wants them pays for the import

        body = structured(notice, self._environment)
        signed = signed_headers(notice.id, body, secrets=self.secrets(), at=now)
        return self._webhook.post(body, {"Content-Type": CONTENT_TYPE, **signed})

    def secrets(self, environ: Mapping[str, str] = os.environ) -> tuple[bytes, ...]:
        """What it is signed with; read again each time, since secrets are mounted late and replaced. None of it is ever told.

        Raises:
            TemporaryError: There is none that can be used.
        """
        if self._settings.format == "slack":
            return ()
        path, variable = self._settings.secret_file, self._settings.secret_variable
        try:
            return parse_secrets(Path(path).read_text(encoding="utf-8") if path else environ.get(variable, ""))
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
            msg = f"the secret file {path} cannot be read: {reason}"
            raise TemporaryError(msg) from exc
        except TemporaryError as exc:
            msg = f"the secret in {path or variable} cannot be used: {exc}"
            raise TemporaryError(msg) from exc

    def knock(self) -> None:
        """See whether it can be reached, without telling it anything; raises TemporaryError."""
        self._webhook.knock()

    def close(self) -> None:
        """Break off what is under way."""
        self._webhook.close()
