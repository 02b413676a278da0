"""What every registry adapter must do: subclass `RegistryContract` and provide the fixtures `registry`, `author` and `model`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from trainer_daemon.errors import RolledBackError
from trainer_daemon.policy.observations import Failure, Verdict
from trainer_daemon.ports import Registry

KEY, OTHER_KEY = "a" * 64, "b" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a run leaves in the registry; None is not left at all."""

    run_key: str = KEY
    period: str = "2025-03"
    evaluation: Mapping[str, Any] | None = None
    failure: Mapping[str, Any] | None = None
    files: Mapping[str, str] = field(default_factory=dict)


class Author(Protocol):
    """Writes what the steps of a pipeline and people write."""

    def leave(self, model: str, left: Left) -> None:
        """A run without a version."""

    def register(self, model: str, left: Left) -> str:
        """A run with a version; returns it."""

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias by hand."""

    def alias(self, model: str, alias: str) -> str:
        """Where an alias points to, empty when nowhere."""

    def tags(self, model: str, version: str) -> Mapping[str, str]:
        """The tags of a version."""

    def description(self, model: str, version: str) -> str:
        """The description of a version."""

    def report(self, model: str, run_key: str) -> str:
        """The report that is kept of a run, empty when none is."""


def an_evaluation(run_key: str = KEY, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """The document that step `evaluate_model` writes."""
    return {
        "format": 1,
        "run_key": run_key,
        "attempt": 2,
        "holdout": {"rows": 200, "positives": 50},
        "candidate": {"metrics": {"log_loss": 0.5, "roc_auc": 0.8, "ece": None}},
        "champion": {"version": "1", "metrics": {"log_loss": 0.6}},
        **changes,
    }


class RegistryContract:
    """The suite."""

    def test_unknown_model_has_no_champion(self, registry: Registry, model: str) -> None:
        """Before the first run there is nothing."""
        assert registry.champion(model) is None

    def test_model_without_the_alias_has_no_champion(self, registry: Registry, author: Author, model: str) -> None:
        """A registered candidate is not yet a champion."""
        author.register(model, Left())
        assert registry.champion(model) is None

    def test_champion_is_where_the_alias_points(self, registry: Registry, author: Author, model: str) -> None:
        """The newest version is not the champion when the alias is on an older one."""
        first = author.register(model, Left())
        author.register(model, Left(run_key=OTHER_KEY, period="2025-05"))
        author.set_alias(model, "champion", first)
        champion = registry.champion(model)
        assert champion is not None
        assert (champion.version, champion.period) == (first, "2025-03")

    def test_champion_moved_by_hand_is_seen_at_the_next_look(self, registry: Registry, author: Author, model: str) -> None:
        """Nothing remembered hides a move."""
        first = author.register(model, Left())
        second = author.register(model, Left(run_key=OTHER_KEY, period="2025-05"))
        seen = []
        for version in (first, second, first):
            author.set_alias(model, "champion", version)
            champion = registry.champion(model)
            seen.append((champion.version, champion.period) if champion else None)
        assert seen == [(first, "2025-03"), (second, "2025-05"), (first, "2025-03")]

    def test_unknown_run_has_left_nothing(self, registry: Registry, model: str) -> None:
        """No experiment, no model, no run: an empty outcome, not an error."""
        outcome = registry.outcome(model, KEY)
        assert (outcome.version, outcome.evaluation, outcome.failure) == ("", None, None)

    def test_outcome_has_version_and_evaluation(self, registry: Registry, author: Author, model: str) -> None:
        """What a successful run leaves is found by its key; metrics that could not be computed are absent."""
        version = author.register(model, Left(evaluation=an_evaluation()))
        outcome = registry.outcome(model, KEY)
        assert outcome.version == version
        assert outcome.evaluation is not None
        assert (outcome.evaluation.attempt, outcome.evaluation.holdout_rows) == (2, 200)
        assert outcome.evaluation.candidate == {"log_loss": 0.5, "roc_auc": 0.8}
        assert outcome.evaluation.champion_version == "1"
        assert outcome.failure is None

    def test_outcomes_of_two_runs_are_kept_apart(self, registry: Registry, author: Author, model: str) -> None:
        """Each key finds its own version."""
        first = author.register(model, Left())
        second = author.register(model, Left(run_key=OTHER_KEY))
        assert (registry.outcome(model, KEY).version, registry.outcome(model, OTHER_KEY).version) == (first, second)

    def test_outcome_has_the_failure_that_a_step_reported(self, registry: Registry, author: Author, model: str) -> None:
        """The sentence for a person arrives unchanged."""
        reason = "column 'Churn' is missing; the columns are Tenure, Größe"
        author.leave(
            model, Left(failure={"attempt": 3, "step": "train_model", "kind": "bad_drop", "reason": reason, "drop": "a#1"})
        )
        failure = registry.outcome(model, KEY).failure
        assert failure is not None
        assert failure == Failure(attempt=3, step="train_model", kind="bad_drop", reason=reason, drop="a#1")

    def test_decision_is_written_as_tags(self, registry: Registry, author: Author, model: str) -> None:
        """Writing it again overwrites it."""
        version = author.register(model, Left())
        for status in ("rejected", "approved"):
            registry.record_decision(model, version, {"validation_status": status, "trainer.decision": json.dumps({"a": "ü"})})
        tags = author.tags(model, version)
        assert (tags["validation_status"], json.loads(tags["trainer.decision"])) == ("approved", {"a": "ü"})

    def test_recorded_decision_is_part_of_the_outcome(self, registry: Registry, author: Author, model: str) -> None:
        """So that a ledger that was lost need not decide again; what is no decision is none."""
        version = author.register(model, Left())
        assert registry.outcome(model, KEY).decided is None
        tag = json.dumps({"verdict": "reject", "run": "churn-2025-03-aa-1"})
        registry.record_decision(model, version, {"trainer.decision": tag})
        seen = registry.outcome(model, KEY)
        assert (seen.decided, seen.decided_run) == (Verdict.REJECT, "churn-2025-03-aa-1")

    def test_version_says_what_it_was_last_told_to_say(self, registry: Registry, author: Author, model: str) -> None:
        """The description is that of now, however often it was written."""
        version = author.register(model, Left())
        for card in ("Rejected.", "Promoted: ü, <b>, 'quoted'.\n\n- why"):
            registry.describe(model, version, card)
        assert author.description(model, version) == "Promoted: ü, <b>, 'quoted'.\n\n- why"

    def test_report_is_kept_beside_the_evidence_of_its_run(self, registry: Registry, author: Author, model: str) -> None:
        """In place of the one that is there; another run's stays what it was."""
        author.leave(model, Left(evaluation=an_evaluation()))
        author.leave(model, Left(run_key=OTHER_KEY, evaluation=an_evaluation(OTHER_KEY)))
        registry.keep_report(model, OTHER_KEY, "<p>other</p>")
        for page in ("<p>undecided</p>", "<p>rejected: ü</p>" + " " * 100_000):
            registry.keep_report(model, KEY, page)
        assert author.report(model, KEY) == "<p>rejected: ü</p>" + " " * 100_000
        assert author.report(model, OTHER_KEY) == "<p>other</p>"

    def test_report_of_a_run_that_left_nothing_is_no_error(self, registry: Registry, author: Author, model: str) -> None:
        """There is nothing to keep it beside."""
        author.leave(model, Left())
        registry.keep_report(model, "e" * 64, "<p>nobody's</p>")
        assert author.report(model, KEY) == ""

    def test_first_champion_has_no_predecessor(self, registry: Registry, author: Author, model: str) -> None:
        """Promotion against nobody sets one alias."""
        version = author.register(model, Left())
        assert registry.promote(model, version, expected="") == version
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (version, "")

    def test_promotion_keeps_the_predecessor(self, registry: Registry, author: Author, model: str) -> None:
        """Where to roll back to is known."""
        first, second = _two_versions(author, model)
        assert registry.promote(model, second, expected=first) == second
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (second, first)

    def test_promotion_repeated_changes_nothing(self, registry: Registry, author: Author, model: str) -> None:
        """A crash after the promotion and before it is written down repeats it."""
        first, second = _two_versions(author, model)
        for _ in range(3):
            assert registry.promote(model, second, expected=first) == second
            assert author.alias(model, "previous-champion") == first

    def test_promotion_interrupted_between_the_aliases_is_completed(self, registry: Registry, author: Author, model: str) -> None:
        """A crash between the two moves leaves the old champion in place; the repetition ends as if nothing had happened."""
        first, second = _two_versions(author, model)
        author.set_alias(model, "previous-champion", first)
        assert registry.promote(model, second, expected=first) == second
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (second, first)

    def test_promotion_whose_predecessor_was_lost_is_mended_by_its_repetition(
        self, registry: Registry, author: Author, model: str
    ) -> None:
        """Both aliases are where they belong afterwards, not only the one that serving loads."""
        first, second = _two_versions(author, model)
        author.set_alias(model, "champion", second)
        author.set_alias(model, "previous-champion", second)
        assert registry.promote(model, second, expected=first) == second
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (second, first)

    def test_promotion_is_refused_when_the_champion_moved(self, registry: Registry, author: Author, model: str) -> None:
        """Decided against version 1, but version 2 is champion now: no alias moves and the caller learns who is."""
        first, second = _two_versions(author, model)
        third = author.register(model, Left(run_key="c" * 64))
        author.set_alias(model, "champion", second)
        assert registry.promote(model, third, expected=first) == second
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (second, "")

    def test_promotion_against_nobody_is_refused_when_there_is_a_champion(
        self, registry: Registry, author: Author, model: str
    ) -> None:
        """A first model that is not the first any more has to be compared."""
        first, second = _two_versions(author, model)
        assert registry.promote(model, second, expected="") == first
        assert author.alias(model, "champion") == first

    def test_promotion_is_refused_when_the_champion_is_gone(self, registry: Registry, author: Author, model: str) -> None:
        """Nobody is champion, which is not what was decided against."""
        version = author.register(model, Left())
        assert registry.promote(model, version, expected="7") == ""
        assert author.alias(model, "champion") == ""

    def test_version_that_a_person_took_back_is_refused_to_runs(self, registry: Registry, author: Author, model: str) -> None:
        """With the sentence that is on it; no alias moves."""
        first, second = _two_versions(author, model)
        registry.record_decision(model, second, {"trainer.rolled_back": "rolled back by ann: scores are off"})
        with pytest.raises(RolledBackError, match=r"^rolled back by ann: scores are off$"):
            registry.promote(model, second, expected=first)
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (first, "")
        assert registry.outcome(model, OTHER_KEY).rolled_back == "rolled back by ann: scores are off"
        assert registry.outcome(model, KEY).rolled_back == ""

    def test_person_moves_the_champion_back_and_forth(self, registry: Registry, author: Author, model: str) -> None:
        """Also to what was taken back; when the mark is emptied, a run may as well."""
        first, second = _two_versions(author, model)
        registry.record_decision(model, second, {"trainer.rolled_back": "rolled back by ann: scores are off"})
        assert registry.move_champion(model, second, expected=first) == second
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (second, first)
        assert registry.move_champion(model, first, expected=second) == first
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (first, second)
        registry.record_decision(model, second, {"trainer.rolled_back": ""})
        assert registry.promote(model, second, expected=first) == second


def _two_versions(author: Author, model: str) -> tuple[str, str]:
    """Two versions, the first of which is champion."""
    first = author.register(model, Left())
    second = author.register(model, Left(run_key=OTHER_KEY, period="2025-05"))
    author.set_alias(model, "champion", first)
    return first, second
