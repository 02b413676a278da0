"""Tells MLflow what was decided about a version: tags that machines read, a model card and a page that people read."""

import json
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.model_card import Fate, fate_of, model_card
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.ports import Registry


class Recorder:
    """Writes about one model's versions; writing the same again changes nothing.

    Args:
        metric: The one that has to improve.
    """

    def __init__(self, *, metric: str, ledger: Ledger, registry: Registry, log: FilteringBoundLogger) -> None:
        self._metric = metric
        self._ledger = ledger
        self._registry = registry
        self._log = log

    def tag(self, run: Run, decision: Decision) -> None:
        """Write the decision on the version; a run that registered none has none to write on."""
        if decision.candidate_version:
            self._registry.record_decision(run.model, decision.candidate_version, decision_tags(run, decision))

    def tell(self, run: Run, decision: Decision, became: RunState, *, now: datetime, why: str = "") -> None:
        """Write model card and report, once it is certain what became of the run; what cannot be written delays nothing.

        Args:
            run: That was judged.
            decision: With a person's answer, where there was one.
            became: The state that it is about to be in.
            now: For the card.
            why: What is to be said besides the rules.
        """
        self.describe(run, decision.candidate_version, fate_of(decision, became, at=now, why=why))
        try:
            self._registry.keep_report(run.model, run.key, self._report(run, decision, became))
        except (TemporaryError, PermanentError) as exc:
            self._complain(run, exc)

    def describe(self, run: Run, version: str, fate: Fate) -> None:
        """Write the model card; also for whoever moves a champion for a reason of his own.

        Args:
            run: That registered the version.
            version: Empty when it registered none.
            fate: What became of it.
        """
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
        )
        return report_of(reported)

    def _complain(self, run: Run, error: Exception) -> None:
        self._log.warning("report_failed", run=run.name, reason=str(error))


def decision_tags(run: Run, decision: Decision) -> dict[str, str]:
    """What a model version says of its own decision."""
    approved = decision.verdict is Verdict.PROMOTE
    rules = [
        {"rule": outcome.rule, "result": outcome.result.value, "sentence": outcome.sentence} for outcome in decision.outcomes
    ]
    document = {"verdict": decision.verdict.value, "run": run.name, "champion_version": decision.champion_version, "rules": rules}
    return {"validation_status": "approved" if approved else "rejected", "trainer.decision": json.dumps(document)}
