"""What a version says of itself."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.builders import a_decision, a_drop, a_run
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.model_card import CARD_LENGTH_MAX, Fate, fate_of, model_card, moved_by_person
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Decision
from trainer_daemon.policy.rules import outcome
from trainer_daemon.policy.runs import RunState

AT = datetime(2025, 4, 3, 2, 10, tzinfo=UTC)
RUN = a_run(RunState.TRAINED)
EVALUATION: dict[str, Any] = {
    "format": 1,
    "run_key": RUN.key,
    "attempt": 1,
    "holdout": {"rows": 1200},
    "training": {"estimator": "logistic_regression", "rows": 4801, "features": ["Tenure", "Charges"]},
    "candidate": {"metrics": {"log_loss": 0.41, "roc_auc": 0.84, "accuracy": 0.8}},
    "champion": {"version": "1", "metrics": {"log_loss": 0.45, "roc_auc": 0.83}},
}


def decided(verdict: Verdict, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    """A decision of two rules, one of which failed if it is a rejection."""
    passed = verdict is Verdict.PROMOTE
    rules = (outcome("registered", passed=True, sentence="it is version 2"), outcome("gain", passed=passed, sentence="it gains"))
    return a_decision(verdict, outcomes=rules, **changes)


def card(verdict: Verdict, became: RunState, *, why: str = "", **changes: Any) -> str:  # noqa: ANN401 - any field
    """The card after a decision."""
    return model_card(RUN, EVALUATION, fate_of(decided(verdict, **changes), became, at=AT, why=why))


def test_card_of_a_champion_says_all_in_a_few_lines() -> None:
    """What it was trained on, how it did, why it was promoted, and where there is more."""
    assert card(Verdict.PROMOTE, RunState.PROMOTED) == (
        "Promoted on 2025-04-03, in place of champion version 1.\n\n"
        "Trained by logistic_regression on 4,801 rows of churn_data_2025_03.csv (2025-03), 2 features.\n\n"
        "On 1,200 held-out rows, against champion version 1: "
        "log_loss 0.4100 (champion 0.4500), roc_auc 0.8400 (champion 0.8300), accuracy 0.8000.\n\n"
        "Why:\n\n- it is version 2\n- it gains\n\n"
        f"Run {RUN.name}; its MLflow run has report.html, with every rule, and evaluation.json."
    )


def test_first_champion_and_first_rejection_name_nobody_else() -> None:
    """There was none."""
    assert card(Verdict.PROMOTE, RunState.PROMOTED, champion_version="").startswith(
        "Promoted on 2025-04-03, as the first champion."
    )
    assert card(Verdict.REJECT, RunState.REJECTED, champion_version="").startswith(
        "Rejected on 2025-04-03; there is no champion yet."
    )


def test_rejected_version_says_which_rules_it_failed_and_only_those() -> None:
    """Nobody cares for what it passed."""
    text = card(Verdict.REJECT, RunState.REJECTED)
    assert text.startswith("Rejected on 2025-04-03; champion version 1 stays.")
    assert "- it gains" in text
    assert "- it is version 2" not in text


def test_what_a_person_said_is_the_first_reason_unless_it_is_a_rule_already() -> None:
    """An approval is the last rule of its decision; a promotion by hand is none."""
    assert "Why:\n\n- it was promoted by hand\n" in card(Verdict.PROMOTE, RunState.PROMOTED, why="it was promoted by hand")
    assert card(Verdict.PROMOTE, RunState.PROMOTED, why="it gains").count("it gains") == 1


def test_version_that_waits_says_so() -> None:
    """It is neither promoted nor rejected."""
    text = card(Verdict.PROMOTE, RunState.AWAITING_APPROVAL)
    assert text.startswith("Passed the rules on 2025-04-03 and waits for a person's approval.")


def test_whoever_moves_a_champion_can_say_why() -> None:
    """The rest of the card stays what it was."""
    text = model_card(RUN, EVALUATION, Fate(headline="Rolled back by ann on 2025-05-01.", reasons=("it scores nobody",)))
    assert text.startswith("Rolled back by ann on 2025-05-01.\n\nTrained by logistic_regression")
    assert "- it scores nobody" in text


@pytest.mark.parametrize(
    "evaluation", [{}, {"training": None}, {"error": "no JSON"}, {"format": 2, "training": {"rows": "many"}}]
)
def test_card_without_evidence_says_what_is_known(evaluation: dict[str, Any]) -> None:
    """What cannot be read is left out."""
    text = model_card(RUN, evaluation, Fate(headline="Rejected."))
    assert text.startswith("Rejected.\n\nTrained on churn_data_2025_03.csv (2025-03).\n\nRun churn-2025-03-")


def test_names_cannot_format_the_card() -> None:
    """A column or a file may be called like a link or an element."""
    text = model_card(RUN, {}, Fate(headline="Rejected.", reasons=("column '[x](javascript:y)' <img src=z>\n# alone",)))
    assert "- column '\\[x\\](javascript:y)' \\<img src=z\\> # alone\n" in text


def test_card_of_many_drops_and_reasons_fits_into_a_description() -> None:
    """The newest drops and the first reasons are told."""
    drops = tuple(a_drop(f"20{year}-01", uri=f"file:///drops/{'d' * 200}{year}.csv") for year in range(10, 40))
    run = a_run(RunState.TRAINED, *drops)
    text = model_card(run, {}, Fate(headline="Rejected.", reasons=tuple(f"reason {n} {'<' * 500}" for n in range(40))))
    assert len(text) <= CARD_LENGTH_MAX + 500
    assert "- reason 0" in text
    assert "report.html" in text.splitlines()[-1]


def test_card_of_a_long_window_names_its_newest_drops() -> None:
    """And says how many there are besides."""
    run = a_run(RunState.TRAINED, *(a_drop(f"2025-{month:02}", uri=f"file:///drops/{month}.csv") for month in range(1, 7)))
    text = model_card(run, {}, Fate(headline="Rejected."))
    assert "Trained on 4.csv (2025-04), 5.csv (2025-05), 6.csv (2025-06) and 3 earlier drops." in text


def test_cards_of_both_versions_say_that_a_person_took_one_back() -> None:
    """And who it was, and why; a forced promotion says nothing of anybody else."""
    wish = Intervention(
        model="churn", kind="rollback", version="1", replaces="2", by="ann", reason="scores are off", at=AT, outcome="done"
    )
    assert moved_by_person(wish, "2", AT) == {
        "1": Fate(headline="Champion again since 2025-04-03: restored by ann in place of version 2: scores are off."),
        "2": Fate(headline="Taken back on 2025-04-03: rolled back by ann: scores are off."),
    }
    assert set(moved_by_person(wish, "", AT)) == {"1"}
    forced = moved_by_person(replace(wish, kind="promote", version="3"), "2", AT)
    assert forced == {"3": Fate(headline="Made champion on 2025-04-03: promoted by ann: scores are off.")}
