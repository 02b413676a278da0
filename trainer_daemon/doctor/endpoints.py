"""Checks of the endpoints that are notified: the secret, whether they can be reached, what waits for them."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.adapters.ledger.outbox import Waiting
from trainer_daemon.config import Settings
from trainer_daemon.endpoint import Endpoint
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.checks import Finding, failed, ok, warning
from trainer_daemon.policy.notices import about_test
from trainer_daemon.policy.redelivery import Reception, reception
from trainer_daemon.probing import DEADLINE_S, Probe

LATE_S = 3600.0


def endpoint_probes(settings: Settings, *, notify: bool, clock: Callable[[], datetime]) -> Iterator[Probe]:
    """One for each endpoint.

    Args:
        settings: Which there are.
        notify: Send each a notification that says that it is a test; otherwise nobody is told anything.
        clock: Now, in UTC.
    """
    for endpoint in settings.notifications:
        check = _EndpointCheck(settings, Endpoint(endpoint, settings.environment), clock)
        look = partial(check.look, notify=notify)
        yield Probe(name=f"notifications {endpoint.name}", look=look, deadline_s=DEADLINE_S + endpoint.timeout_s)


class _EndpointCheck:
    def __init__(self, settings: Settings, endpoint: Endpoint, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._clock = clock

    def look(self, *, notify: bool) -> Finding:
        try:
            self._endpoint.secrets()
            reached = self._told() if notify else self._reached()
        except TemporaryError as exc:
            return failed(str(exc), f"correct [[notifications]] {self._endpoint.name}, or let the daemon reach it")
        if reached:
            return failed(reached, "see what the endpoint says of it, then correct its url or its secret")
        return judge_waiting(self._waiting(), self._clock(), "it took a test" if notify else "it can be reached")

    def _reached(self) -> str:
        self._endpoint.knock()
        return ""

    def _told(self) -> str:
        now = self._clock()
        reply = self._endpoint.send(about_test(now), now)
        return "" if reception(reply.status) is Reception.DELIVERED else reply.sentence

    def _waiting(self) -> Waiting:
        """Nothing, where the ledger cannot be read: another check says so."""
        try:
            history = open_history(self._settings.ledger)
        except (TemporaryError, PermanentError):
            history = None
        if history is None:
            return Waiting(endpoint=self._endpoint.name)
        try:
            return history.waiting([self._endpoint.name])[0]
        finally:
            history.close()


def judge_waiting(waiting: Waiting, now: datetime, reached: str) -> Finding:
    """Whether what waits for an endpoint is no more than has just happened.

    Args:
        waiting: For the endpoint.
        now: In UTC.
        reached: What is known of the endpoint itself.
    """
    if waiting.since is None:
        return ok(f"{reached}, nothing waits for it")
    age_s = (now - waiting.since).total_seconds()
    found = f"{reached}, {waiting.number} wait for it, the oldest for {age_s / 60:.0f} min"
    if age_s < LATE_S:
        return ok(found)
    return warning(found, f"is a daemon running? The last attempt: {waiting.error or 'none was made'}")
