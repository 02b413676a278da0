"""Why a person cannot have a version as champion: each reason is one sentence, with what to do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import MODEL, NOW, a_decision, a_drop, a_run, an_intervention
from trainer_daemon.adapters.ledger.history import Reign
from trainer_daemon.commands.objections import Scene, refuse_promotion, refuse_rollback, restorable, warnings
from trainer_daemon.commands.opening import CommandError, Session
from trainer_daemon.commands.records import Records
from trainer_daemon.config import Settings
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Result, RuleOutcome
from trainer_daemon.policy.runs import RunState

FAILED_RULE = RuleOutcome(rule="min_gain[log_loss]", result=Result.FAILED, sentence="log_loss is worse by 0.1")
RUNS = (
    a_run(RunState.PROMOTED, a_drop("2025-01"), model_version="1"),
    a_run(RunState.PROMOTED, a_drop("2025-02"), model_version="2"),
    a_run(RunState.REJECTED, a_drop("2025-03"), model_version="3", decision=a_decision(Verdict.REJECT, outcomes=(FAILED_RULE,))),
    a_run(RunState.AWAITING_APPROVAL, a_drop("2025-04"), model_version="4"),
    a_run(RunState.QUARANTINED, a_drop("2025-05"), model_version="5", error="no column Churn"),
    a_run(RunState.TRAINED, a_drop("2025-06"), model_version="6"),
)
BAR = "rolled back by ann: scores are off (2026-03-01 12:00 UTC)"


def reign(version: str, cause: str = "promoted") -> Reign:
    """Somebody became champion."""
    return Reign(version=version, run_key="", period="", cause=cause, at=NOW)


def a_scene(version: str = "", **changes: Any) -> Scene:  # noqa: ANN401 - any field
    """Version 2 has followed version 1."""
    scene = Scene(
        session=Session(
            config=Path("trainer.toml"), settings=Settings.model_construct(models=())
        ),  # commands are worded without any
        records=Records(model=MODEL, runs=RUNS, reigns=(reign("1"), reign("2"))),
        champion="2",
        previous="1",
        version=version,
        marks={},
    )
    return replace(scene, **changes)


def among(scene: Scene, *interventions: Any, reigns: tuple[Reign, ...] | None = None) -> Scene:  # noqa: ANN401 - interventions
    """The scene after people asked for something."""
    known = scene.records.reigns if reigns is None else reigns
    return replace(scene, records=replace(scene.records, interventions=interventions, reigns=known))


def said(refuse: Callable[[], object]) -> str:
    """The sentence that it is refused with."""
    with pytest.raises(CommandError) as refused:
        refuse()
    return str(refused.value)


@pytest.mark.parametrize(
    ("version", "changes", "sentence"),
    [
        ("9", {"marks": None}, "model churn has no version 9 in MLflow; this ledger's runs made 1, 2, 3, 4, 5, 6"),
        ("2", {}, "version 2 is champion of churn already; nothing is to be done"),
    ],
)
def test_force_does_not_make_the_impossible_possible(version: str, changes: dict[str, Any], sentence: str) -> None:
    """A version that is not there, or there already."""
    assert said(lambda: refuse_promotion(a_scene(version, **changes), is_forced=True)) == sentence


@pytest.mark.parametrize(
    ("version", "changes", "sentence"),
    [
        ("3", {}, "version 3 was rejected: log_loss is worse by 0.1; --force makes it champion all the same"),
        ("4", {}, "version 4 waits for approval, `trainer-daemon approve {run} --reason WHY` gives it; --force makes it"),
        ("5", {}, "nothing was decided about version 5: its run {run} is QUARANTINED; --force makes it"),
        ("6", {}, "nothing was decided about version 6: its run {run} is TRAINED; --force makes it"),
        ("8", {}, "no run of this ledger has made version 8, so nothing was decided about it; --force makes it"),
        ("1", {"marks": {"trainer.rolled_back": BAR}}, f"version 1 was {BAR}; --force makes it"),
    ],
)
def test_promotion_against_the_decision_or_without_one_needs_force(version: str, changes: dict[str, Any], sentence: str) -> None:
    """The sentence says what there is instead."""
    scene = a_scene(version, **changes)
    told = said(lambda: refuse_promotion(scene, is_forced=False))
    assert told.startswith(sentence.format(run=scene.run.name if scene.run else ""))
    refuse_promotion(scene, is_forced=True)


def test_version_that_was_promoted_before_needs_no_force() -> None:
    """Its decision says so."""
    refuse_promotion(a_scene("1"), is_forced=False)


def test_rollback_goes_to_the_previous_champion() -> None:
    """By the ledger, which knows of hands; by the alias when the ledger was lost; and never to what was taken back."""
    assert restorable(a_scene()) == "1"
    assert restorable(among(a_scene(previous="1"), reigns=(reign("1"), reign("7", "external"), reign("2")))) == "7"
    assert restorable(among(a_scene(), reigns=(reign("2", "found"),))) == "1"
    again = among(
        a_scene(champion="1", previous="2"),
        an_intervention(outcome="done"),
        reigns=(reign("0"), reign("1"), reign("2"), reign("1", "rollback")),
    )
    assert restorable(again) == "0"


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        (
            among(a_scene(champion="1", previous=""), reigns=(reign("1"),)),
            "model churn has had no champion before version 1; `trainer-daemon promote VERSION --force --reason WHY`",
        ),
        (among(a_scene(champion="", previous=""), reigns=()), "model churn has never had a champion; `trainer-daemon promote"),
        (
            among(
                a_scene(champion="1", previous="2"),
                an_intervention(outcome="done"),
                reigns=(reign("1"), reign("2"), reign("1", "rollback")),
            ),
            "model churn has no earlier champion that nobody took back (version 2 was rolled back by ann: scores are off)",
        ),
    ],
)
def test_rollback_to_nobody_is_refused(scene: Scene, sentence: str) -> None:
    """A second rollback does not bring back what the first one took away."""
    assert said(lambda: restorable(scene)).startswith(sentence)


@pytest.mark.parametrize(
    ("scene", "is_named", "sentence"),
    [
        (
            a_scene("1", marks=None),
            False,
            "version 1, the previous champion, does not exist any more; name another one with --to",
        ),
        (a_scene("1", marks={"trainer.rolled_back": BAR}), False, f"version 1, the previous champion, was {BAR}; name another"),
        (a_scene("9", marks=None), True, "model churn has no version 9 in MLflow"),
        (a_scene("2"), True, "version 2 is champion of churn already"),
        (a_scene("3"), True, "version 3 has never been champion, so it cannot be restored; `trainer-daemon promote 3 --force"),
    ],
)
def test_rollback_that_makes_no_sense_is_refused(scene: Scene, sentence: str, *, is_named: bool) -> None:
    """With what makes sense instead."""
    assert said(lambda: refuse_rollback(scene, is_named=is_named)).startswith(sentence)


def test_rollback_to_a_champion_of_before_the_ledger_was_lost_is_possible() -> None:
    """Its own mark says that it was approved."""
    refuse_rollback(a_scene("6", marks={"validation_status": "approved"}), is_named=True)
    refuse_rollback(a_scene("1", marks={"trainer.rolled_back": BAR}), is_named=True)


def test_what_was_asked_for_already_is_not_asked_for_again() -> None:
    """Until the daemon has acted on it; something else comes after it, and the person is told."""
    waiting = among(a_scene("1"), an_intervention())
    assert said(lambda: refuse_rollback(waiting, is_named=False)).startswith(
        "ann has asked already to roll back from version 2 to version 1, at "
    )
    assert "ann has asked already" in said(lambda: refuse_promotion(waiting, is_forced=True))
    other = among(a_scene("3"), an_intervention())
    refuse_promotion(other, is_forced=True)
    assert list(warnings(other)) == ["ann asked before to roll back from version 2 to version 1, which is carried out first"]


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        (a_scene("1"), []),
        (a_scene("5"), ["the drop of version 5 was quarantined: no column Churn"]),
        (
            a_scene("1", newer="file:///drops/churn_data_2025_01.csv"),
            ["version 1 was trained on bytes of churn_data_2025_01.csv that newer ones have replaced"],
        ),
        (a_scene("1", marks={"trainer.rolled_back": BAR}), [f"version 1 was {BAR}"]),
        (a_scene("8"), []),
    ],
)
def test_person_is_told_what_speaks_against_the_version(scene: Scene, told: list[str]) -> None:
    """What does not forbid it."""
    assert list(warnings(scene)) == told
