"""The registry as the reconciler sees it: calls of the worker's operations, and their replies as values of the policy."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainer_daemon.adapters.registry.process import Worker
from trainer_daemon.adapters.registry.protocol import EVALUATION
from trainer_daemon.adapters.registry.shortening import shortened
from trainer_daemon.policy.observations import Champion, Evaluation, Failure, Outcome, Verdict, parse_evaluation
from trainer_daemon.policy.predictions import Receipt
from trainer_daemon.policy.text import plain, read_document, storable

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from trainer_daemon.config import MlflowSettings

TAG_LENGTH_MAX = 5000
"""What every server accepts as the value of a tag; recent ones accept more."""
_PERIOD = re.compile(r"[0-9]{4}-[0-9]{2}")


class MlflowRegistry:
    """Models and evidence in MLflow; implements `trainer_daemon.ports.Registry`. Threads may share it; calls take turns.

    Args:
        settings: Where MLflow is, and how long a call may take.
        idle_s: The child process ends after so long without a call.
    """

    def __init__(self, settings: "MlflowSettings", *, log: "FilteringBoundLogger", idle_s: float = 20.0) -> None:
        self._log = log
        self._worker = Worker(tracking_uri=settings.tracking_uri, call_timeout_s=settings.call_timeout_s, idle_s=idle_s)

    def rest(self) -> None:
        """Give back the memory of the child process, unless it is at work; the next call starts another one."""
        self._worker.rest()

    def champion(self, model: str) -> Champion | None:
        """The version that alias `champion` points to, None when there is none."""
        reply = self._worker.call("champion", model=model)["champion"]
        if reply is None:
            return None
        schema, problem = read_document(reply["schema"] or "{}")
        if problem:
            self._log.warning("schema_ignored", model=model, model_version=reply["version"], reason=problem)
        period = reply["period"] if _PERIOD.fullmatch(reply["period"]) else ""
        return Champion(version=reply["version"], run_key=storable(reply["run_key"]), period=period, schema=schema)

    def outcome(self, model: str, run_key: str) -> Outcome:
        """What the run of this key has left: version, evaluation, failure."""
        reply = self._worker.call("outcome", model=model, run_key=run_key)
        versions: list[str] = reply["versions"]
        if len(versions) > 1:
            self._log.warning("version_duplicated", model=model, run_key=run_key, model_version=versions[0], ignored=versions[1:])
        evaluation, document = _evaluation(reply["evaluation"], run_key)
        decided, decided_run = _decided(reply["decision"])
        return Outcome(
            version=versions[0] if versions else "",
            evaluation=evaluation,
            evaluation_json=document,
            failure=self._failure(model, run_key, reply["failure"]),
            decided=decided,
            decided_run=decided_run,
            rolled_back=plain(reply["rolled_back"]),
        )

    def _failure(self, model: str, run_key: str, text: str) -> Failure | None:
        if not text:
            return None
        document, problem = read_document(text)
        try:
            return Failure(
                attempt=int(document["attempt"]),
                step=plain(str(document["step"])),
                kind=plain(str(document["kind"])),
                reason=plain(str(document["reason"])),
                drop=plain(str(document.get("drop", ""))),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            reason = problem or f"it lacks {exc}"
            self._log.warning(
                "failure_ignored", model=model, run_key=run_key, reason=f"tag trainer.failure cannot be read: {reason}"
            )
            return None

    def has_version(self, model: str, version: str) -> bool:
        """Whether a version of a model exists."""
        return bool(self._worker.call("has_version", model=model, version=version)["exists"])

    def predictions(self, experiment: str, run_key: str) -> tuple[Receipt | None, Failure | None]:
        """What a run that predicts has left: the receipt of its predictions, and what it said of its last failure.

        Args:
            experiment: Of the model's predictions.
            run_key: Of the run.
        """
        reply = self._worker.call("predictions", experiment=experiment, run_key=run_key)
        document, _ = read_document(reply["receipt"] or "{}")
        try:
            receipt = Receipt(
                run=str(document["run"]),
                uri=str(document["uri"]),
                checksum=str(document["checksum"]),
                rows=int(document["rows"]),
                labelled=int(document["labelled"]),
            )
        except (KeyError, TypeError, ValueError):
            receipt = None  # predictions without a receipt are made again
        return receipt, self._failure(experiment, run_key, reply["failure"])

    def record_decision(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Write the decision on the version as tags; writing the same again is no error.

        Args:
            model: Name of the registered model.
            version: Of the model.
            tags: Values that are too long for a tag are shortened; JSON stays JSON.
        """
        fitting = {name: shortened(value, TAG_LENGTH_MAX) for name, value in tags.items()}
        self._worker.call("record_decision", model=model, version=version, tags=fitting)

    def describe(self, model: str, version: str, card: str) -> None:
        """Write the version's description, in place of the one it has; MLflow shows it as Markdown."""
        self._worker.call("describe", model=model, version=version, card=card)

    def keep_report(self, model: str, run_key: str, page: str) -> None:
        """Keep the page beside the evidence of this run, in place of the one there; nothing happens when the run left none."""
        self._worker.call("keep_report", model=model, run_key=run_key, page=page)

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Point `champion` at the version and `previous-champion` at `expected`, if the champion still is `expected`.

        MLflow has no compare-and-set: the alias is read, compared and written, then read again. Nobody else who
        follows this protocol writes in between, since one daemon at a time works on a ledger, and one at a time moves
        aliases in a SQLite file, whatever its ledger. A person may, or a daemon with another ledger on the same server,
        within milliseconds, and the last writer wins then - which the next look at the registry notices. How a crash
        between the two aliases converges is argued in `moving`.

        Args:
            model: Name of the registered model.
            version: The new champion.
            expected: The version it was decided against; empty when there was none.

        Returns:
            The champion's version afterwards: `version` when it was moved now or before, otherwise whoever is champion.
        """
        return str(self._worker.call("promote", model=model, version=version, expected=expected)["champion"])

    def move_champion(self, model: str, version: str, *, expected: str) -> str:
        """As `promote`, for a person: also to a version that was rolled back."""
        return str(self._worker.call("move_champion", model=model, version=version, expected=expected)["champion"])

    def aliases(self, model: str) -> Mapping[str, str]:
        """Version by alias."""
        aliases: dict[str, str] = self._worker.call("aliases", model=model)["aliases"]
        return aliases

    def marks(self, model: str, version: str) -> Mapping[str, str] | None:
        """The tags of a version; None when there is no such version."""
        tags: dict[str, str] | None = self._worker.call("marks", model=model, version=version)["tags"]
        return tags

    def close(self) -> None:
        """End the child process; a call that another thread has under way fails as temporary."""
        self._worker.close()


def _evaluation(text: str | None, run_key: str) -> tuple[Evaluation | None, Mapping[str, Any]]:
    """The evaluation and its document; an unreadable one is no evaluation, and its document says why."""
    if text is None:
        return None, {}
    document, problem = read_document(text)
    if problem:
        return None, {"error": f"{EVALUATION} {problem}"}
    try:
        evaluation = parse_evaluation(document)
    except ValueError as exc:
        return None, {"error": str(exc)}
    if evaluation.run_key != run_key:
        return None, {"error": f"{EVALUATION} is about run key {evaluation.run_key}, not {run_key}"}
    return evaluation, document


def _decided(text: str) -> tuple[Verdict | None, str]:
    """Verdict and run of a decision tag; what cannot be read was not decided."""
    document, _ = read_document(text or "{}")
    try:
        return Verdict(document["verdict"]), str(document["run"])
    except (KeyError, ValueError):
        return None, ""
