"""Delivers what waits in the outbox to one endpoint, at least once and in order, on a thread that nothing else waits for.

A letter is taken, sent, and what came of it is written down. After a crash between any two of these it is due again when the
time that it was taken for is over, with the same id, so that a receiver can leave out what it has already. A receiver that fails
is tried again after growing pauses for as long as it takes; one that would never take this letter is not.
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Letter, Outbox
from trainer_daemon.endpoint import Endpoint
from trainer_daemon.errors import TemporaryError
from trainer_daemon.loop import Loop, Rest
from trainer_daemon.policy.redelivery import Reception, Reply, backoff_s, reception
from trainer_daemon.telemetry.vitals import Pulse

KEEP = timedelta(days=30)
"""How long the outbox remembers what was delivered or given up."""
LOOK_S = 15.0
"""How often it is looked for what another process wrote."""
PRUNE_S = 3600.0
BROKEN_OFF_S = 0.2
SLACK_S = 15.0
"""What finding an address, and a busy machine, may add to the time-out of one delivery."""


class Courier:
    """The loop of one endpoint.

    Args:
        endpoint: Where letters go.
        outbox: Where they wait.
        endpoints: Names of all that are configured.
        clock: Now, in UTC.
        log: For what happens.
        on_reception: Called with what became of each delivery.
        pulse: Is told of every round.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        outbox: Outbox,
        endpoints: Sequence[str],
        *,
        clock: Callable[[], datetime],
        log: FilteringBoundLogger,
        on_reception: Callable[[Reception], None],
        pulse: Pulse | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._outbox = outbox
        self._endpoints = endpoints
        self._clock = clock
        self._log = log.bind(endpoint=endpoint.name)
        self._on_reception = on_reception
        self._prune_at = 0.0
        self.loop = Loop(f"notify-{endpoint.name}", self._work, self._log, pulse)

    def close(self, grace_s: float) -> None:
        """End; a delivery under way that takes longer is broken off, and made again at the next start."""
        self.loop.stop()
        if not self.loop.join(grace_s):
            self._endpoint.close()
            self.loop.join(BROKEN_OFF_S)

    def _work(self) -> Rest:
        self._prune()
        now = self._clock()
        patience = timedelta(seconds=self._endpoint.timeout_s + SLACK_S)
        letter = self._outbox.take(self._endpoint.name, now=now, until=now + patience)
        if isinstance(letter, Letter):
            self._deliver(letter)
            return Rest(seconds=0.0)
        wait_s = (letter - now).total_seconds() if letter is not None else LOOK_S
        return Rest(seconds=min(wait_s, LOOK_S), idle=wait_s > 0)

    def _deliver(self, letter: Letter) -> None:
        began = time.monotonic()
        try:
            reply = self._endpoint.send(letter.notice, self._clock())
        except TemporaryError as exc:
            self._postpone(letter, str(exc))
            self._on_reception(Reception.FAILED)
            return
        received = reception(reply.status)
        self._on_reception(received)
        log = self._about(letter)
        match received:
            case Reception.DELIVERED:
                self._outbox.delivered(letter, self._clock())
                log.info("notification_delivered", attempts=letter.attempts, seconds=round(time.monotonic() - began, 3))
            case Reception.REFUSED:
                self._outbox.refused(letter, self._clock(), reply.sentence)
                log.error("notification_refused", reason=reply.sentence)
            case Reception.FAILED:
                self._postpone(letter, reply.sentence, reply)

    def _postpone(self, letter: Letter, reason: str, reply: Reply | None = None) -> None:
        chance = random.random()  # noqa: S311 - jitter, no secret
        pause_s = backoff_s(letter.attempts, chance=chance, retry_after_s=reply.retry_after_s if reply else None)
        self._outbox.postponed(letter, self._clock() + timedelta(seconds=pause_s), reason)
        log = self._about(letter)
        log.warning("notification_failed", reason=reason, attempts=letter.attempts, retry_in_s=round(pause_s, 1))

    def _about(self, letter: Letter) -> FilteringBoundLogger:
        notice = letter.notice
        return self._log.bind(model=notice.model, notification=notice.id)

    def _prune(self) -> None:
        if time.monotonic() < self._prune_at:
            return
        self._prune_at = time.monotonic() + PRUNE_S
        self._outbox.prune(self._clock() - KEEP, self._endpoints)
