"""Tells MLflow what was decided about a version: tags that machines read, a model card and a page that people read."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.marks import STATUS_TAG, decision_tags
from trainer_daemon.policy.model_card import Fate, fate_of, model_card
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.ports import Registry


class Recorder:
    """Writes about one model's versions; writing the same again changes nothing.

    Args:
        metric: The one that has to improve.
        run_link: The page of a run by its id at the orchestrator; empty when there is none.
    """

    def __init__(
        self,
        *,
        metric: str,
        ledger: Ledger,
        registry: Registry,
        log: FilteringBoundLogger,
        run_link: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._metric = metric
        self._run_link = run_link
        self._ledger = ledger
        self._registry = registry
        self._log = log

    def tag(self, run: Run, decision: Decision) -> None:
        """Write the decision on the version; a run that registered none has none to write on."""
        if decision.candidate_version:
            self._registry.record_decision(run.model, decision.candidate_version, decision_tags(run, decision))

    def tag_ending(self, run: Run, ending: RunState) -> None:
        """What an earlier attempt left on the version of a run that ends undecided is true no longer."""
        if run.model_version:
            # a version that is gone needs no mark
            with suppress(PermanentError):
                self._registry.record_decision(run.model, run.model_version, {STATUS_TAG: ending.lower()})

    def tell(self, run: Run, decision: Decision, became: RunState, *, now: datetime, why: str = "") -> None:
        """Write model card and report, once it is certain what became of the run; what cannot be written delays nothing.

        Args:
            run: That was judged.
            decision: With a person's answer, where there was one.
            became: The state that it is about to be in.
            now: For the card.
            why: What is to be said besides the rules.
        """
        self._describe(run, decision.candidate_version, fate_of(decision, became, at=now, why=why))
        try:
            self._registry.keep_report(run.model, run.key, self._report(run, decision, became))
        except (TemporaryError, PermanentError) as exc:
            self._complain(run, exc)

    def tell_move(self, model: str, version: str, fate: Fate) -> None:
        """Write the model card anew after a person made the version champion, or took it back.

        Args:
            model: Name of the registered model.
            version: One that no run of this ledger made keeps the description it has.
            fate: Who did what, and why.
        """
        run = self._ledger.run_of_version(model, version)
        if run is not None:
            self._describe(run, version, fate)

    def _describe(self, run: Run, version: str, fate: Fate) -> None:
        if not version:
            return
        try:
            card = model_card(run, self._ledger.evaluation(run.key, run.attempt), fate)
            self._registry.describe(run.model, version, card)
        except (TemporaryError, PermanentError) as exc:
            self._complain(run, exc)

    def _report(self, run: Run, decision: Decision, became: RunState) -> str:
        from trainer_daemon.reporting import Reported, report_of  # templates are not needed before the first decision

        reported = Reported(
            run=run,
            decision=decision,
            became=became,
            evaluation=self._ledger.evaluation(run.key, run.attempt),
            judged=self._ledger.judged(run.model),
            metric=self._metric,
            link=self._run_link(run.orchestrator_run),
        )
        return report_of(reported)

    def _complain(self, run: Run, error: Exception) -> None:
        self._log.warning("report_failed", run=run.name, reason=str(error))
