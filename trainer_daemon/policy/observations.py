"""What adapters report of the outside world, as values the policy can decide on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from trainer_daemon.policy.evidence import Evidence, numbers, parse_evidence

EVALUATION_FORMATS = (1, 2)
"""What this daemon reads; format 2 adds evidence to the metrics of format 1."""


class Phase(StrEnum):
    """State of one run on an orchestrator, in the words of this project."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    VANISHED = "VANISHED"
    UNKNOWN = "UNKNOWN"


class Verdict(StrEnum):
    """What a decision comes to."""

    PROMOTE = "promote"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look at one run on an orchestrator.

    Attributes:
        name: The run's deterministic name.
        run_id: The orchestrator's own id of it; empty when it vanished.
        reason: Why it failed, or the state's own name when it is not known to us.
        step: What it is at, while it runs; empty when the orchestrator does not say.
    """

    name: str
    phase: Phase
    run_id: str = ""
    reason: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a step said of its own failure.

    Attributes:
        kind: `bad_drop`, `drop_changed` or `error`.
        reason: One sentence for a person.
        drop: Reference of the bad drop, otherwise of the newest one; empty when it is not said, then the run's own is meant.
    """

    attempt: int
    step: str
    kind: str
    reason: str
    drop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The version that alias `champion` points to.

    Attributes:
        period: Newest period it was trained on; empty when a version that is not ours was put there.
        schema: Its `schema.json`; empty when it has none.
    """

    version: str
    run_key: str = ""
    period: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Candidate and champion on the same held-out rows, parsed from `evaluation.json`.

    Attributes:
        champion_version: The version the candidate was compared with; empty when there was no champion.
        champion: The champion's metrics; empty when it could not be scored, then `champion_error` says why.
        evidence: How sure the differences are, and what else was looked at; nothing in format 1.
    """

    run_key: str
    attempt: int
    holdout_rows: int
    candidate: Mapping[str, float]
    champion_version: str = ""
    champion: Mapping[str, float] = field(default_factory=dict)
    champion_error: str = ""
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run left in the registry.

    Attributes:
        version: The one model version of this run; empty when none was registered.
        evaluation: None when the run wrote none, or one that cannot be read.
        evaluation_json: The evaluation as it was written, for the ledger.
        failure: What the last failing step said of itself.
        decided: What the version's own tags say was decided about it, by a ledger that was lost or by this one.
        decided_run: Name of the run, with its attempt, that this was decided for.
        rolled_back: Who took its version back and why, from the version's own tags; empty when nobody did.
    """

    version: str = ""
    evaluation: Evaluation | None = None
    evaluation_json: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    decided: Verdict | None = None
    decided_run: str = ""
    rolled_back: str = ""


def parse_evaluation(document: Mapping[str, Any]) -> Evaluation:
    """Read the JSON that step `evaluate_model` writes.

    Raises:
        ValueError: It is not an evaluation of a known format; the sentence says what is wrong.
    """
    if document.get("format") not in EVALUATION_FORMATS:
        known = " and ".join(map(str, EVALUATION_FORMATS))
        msg = f"evaluation.json has format {document.get('format')!r}, this daemon reads {known}"
        raise ValueError(msg)
    try:
        champion = document["champion"] or {}
        return Evaluation(
            run_key=str(document["run_key"]),
            attempt=int(document["attempt"]),
            holdout_rows=int(document["holdout"]["rows"]),
            candidate=numbers(document["candidate"]["metrics"]),
            champion_version=str(champion.get("version", "")),
            champion=numbers(champion.get("metrics") or {}),
            champion_error=str(champion.get("error", "")),
            evidence=parse_evidence(document) if document["format"] != 1 else Evidence(),
        )
    except (KeyError, TypeError, AttributeError) as exc:
        msg = f"evaluation.json lacks {exc}"
        raise ValueError(msg) from exc
    except (ValueError, OverflowError) as exc:
        msg = f"evaluation.json cannot be read: {exc}"
        raise ValueError(msg) from exc
