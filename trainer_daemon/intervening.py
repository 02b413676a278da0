"""Carries out what a person asked for: the alias, then the marks on the versions, then one ledger write, then the log.

A crash between any two of them converges: until the ledger write the intervention waits, and the next look carries it out again
from wherever the alias is, which says by itself whether it has moved (`policy.interventions`).
"""

from contextlib import suppress
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.errors import PermanentError, StaleStateError
from trainer_daemon.policy.interventions import Dismiss, Intervene
from trainer_daemon.policy.marks import intervention_tags, rollback_tags
from trainer_daemon.policy.model_card import moved_by_person
from trainer_daemon.policy.observations import Champion
from trainer_daemon.policy.runs import RunState
from trainer_daemon.ports import Registry
from trainer_daemon.recording import Recorder


class Intervener:
    """Acts on one model's interventions."""

    def __init__(self, ledger: Ledger, registry: Registry, recorder: Recorder, log: FilteringBoundLogger) -> None:
        self._ledger = ledger
        self._registry = registry
        self._recorder = recorder
        self._log = log

    def intervene(self, action: Intervene, now: datetime) -> None:
        """Make a version champion because a person wants it.

        Raises:
            StaleStateError: Somebody else moved the alias at the same moment; look again.
            PermanentError: The registry refuses, for instance because the version is gone.
        """
        wish = action.intervention
        champion = self._registry.move_champion(wish.model, wish.version, expected=action.expected)
        if champion != wish.version:
            msg = f"version {champion or 'nobody'} is champion meanwhile"
            raise StaleStateError(msg)
        self._mark(action, now)
        for version, fate in moved_by_person(wish, action.expected, now).items():
            self._recorder.tell_move(wish.model, version, fate)
        found = self._registry.champion(wish.model)
        ours = found if found and found.version == champion else Champion(version=champion)
        moved = self._ledger.intervened(wish, ours, replaced=action.expected, now=now)
        for run, state in moved:
            event = "candidate_promoted" if state is RunState.PROMOTED else "candidate_rejected"
            self._log.info(event, run=run.name, drop=run.drop.ref, model_version=run.model_version, reasons=(wish.sentence,))
        told = {"model_version": champion, "previous_version": action.expected or None, "by": wish.by, "reason": wish.reason}
        if wish.kind == "rollback":
            self._log.warning("champion_rolled_back", **told)
        else:
            self._log.warning("champion_promoted_by_operator", **told)

    def dismiss(self, action: Dismiss, now: datetime) -> None:
        """Close what cannot be carried out, and say so."""
        wish = action.intervention
        self._ledger.dismiss(wish, action.why, now)
        self._log.warning("intervention_refused", asked_for=wish.words, by=wish.by, reason=action.why)

    def _mark(self, action: Intervene, now: datetime) -> None:
        """Bar the one before anybody can look at the other; a version that is gone needs no mark."""
        wish = action.intervention
        if wish.kind == "rollback" and action.expected:
            with suppress(PermanentError):
                self._registry.record_decision(wish.model, action.expected, rollback_tags(wish, now))
        self._registry.record_decision(wish.model, wish.version, intervention_tags(wish, now))
