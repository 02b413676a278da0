"""What is to be done about what people ask for, by where the alias is and what the ledger knows."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOW, a_champion, a_decision, a_policy, a_run, a_snapshot, an_evaluation, an_intervention, an_outcome
from trainer_daemon.policy.actions import Advance, Judge, NoteChampion, Promote
from trainer_daemon.policy.alias_moves import AliasPast, judge_alias
from trainer_daemon.policy.answers import barred
from trainer_daemon.policy.checks import Status
from trainer_daemon.policy.decide import Wanted, decide, wanted
from trainer_daemon.policy.interventions import Dismiss, Intervene, predecessor, rolled_back
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Case, judge
from trainer_daemon.policy.runs import RunState

BACK = an_intervention()
FORWARD = an_intervention("promote", version="3", replaces="2")


@pytest.mark.parametrize(
    ("wish", "known", "champion", "expected"),
    [
        (BACK, "2", "2", "2"),
        (BACK, "2", "1", "2"),  # moved, not written down
        (BACK, "5", "1", "2"),  # whom the person saw is rolled back, not whom the ledger knew
        (FORWARD, "2", "2", "2"),
        (FORWARD, "7", "7", "7"),  # a promotion names its version, whoever is champion meanwhile
        (FORWARD, "7", "3", "7"),
    ],
)
def test_person_is_obeyed(wish: object, known: str, champion: str, expected: str) -> None:
    """From where the alias is; a move that is half done is nobody else's."""
    seen = a_snapshot(intervention=wish, known_champion=a_champion(known), champion=(a_champion(champion),))
    assert decide(seen, NOW) == Intervene(intervention=wish, expected=expected)  # type: ignore[arg-type]


def test_rollback_from_nobody_restores_the_last_champion() -> None:
    """Somebody took the alias away."""
    wish = replace(BACK, replaces="")
    seen = a_snapshot(intervention=wish, known_champion=a_champion(""), champion=(None,))
    assert decide(seen, NOW) == Intervene(intervention=wish, expected="")


@pytest.mark.parametrize(
    ("wish", "champion", "why"),
    [
        (BACK, "1", "version 1 is champion already"),
        (FORWARD, "3", "version 3 is champion already"),
        (BACK, "7", "version 2 is not champion any more, version 7 is"),
        (BACK, "", "version 2 is not champion any more, nobody is"),
    ],
)
def test_what_comes_too_late_is_refused_with_a_sentence(wish: object, champion: str, why: str) -> None:
    """Once the ledger knows who is champion."""
    found = a_champion(champion) if champion else None
    seen = a_snapshot(intervention=wish, known_champion=a_champion(champion), champion=(found,))
    assert decide(seen, NOW) == Dismiss(intervention=wish, why=why)  # type: ignore[arg-type]


def test_hand_that_moved_the_alias_is_noted_first() -> None:
    """Then the person's request is held against it."""
    hand = a_champion("9")
    seen = a_snapshot(intervention=BACK, known_champion=a_champion("2"), champion=(hand,))
    assert decide(seen, NOW) == NoteChampion(champion=hand)
    fresh = a_snapshot(intervention=BACK, known_champion=None, champion=(a_champion("1"),))
    assert isinstance(decide(fresh, NOW), NoteChampion)


def test_promotion_that_is_under_way_is_finished_first() -> None:
    """Its alias has moved; then the person takes it back."""
    run = a_run(RunState.TRAINED, decision=a_decision())
    seen = a_snapshot(run, intervention=BACK, known_champion=a_champion("1"), champion=(a_champion("2"),))
    assert isinstance(decide(seen, NOW), Promote)


def test_person_comes_before_everything_and_needs_the_registry_only() -> None:
    """A run is under way; nobody asks for it."""
    seen = a_snapshot(a_run(RunState.RUNNING), intervention=BACK, known_champion=a_champion("2"))
    assert wanted(seen, NOW) == Wanted(champion=True)


# the bar


def test_candidate_that_was_taken_back_fails_a_rule_of_its_own() -> None:
    """However good it is."""
    case = Case(candidate_version="2", candidate_period="2025-03", evaluation=an_evaluation(), champion=a_champion())
    assert judge(case, a_policy().promotion).verdict is Verdict.PROMOTE
    decision = judge(replace(case, rolled_back="rolled back by ann: why"), a_policy().promotion)
    assert (decision.verdict, decision.reasons) == (Verdict.REJECT, ("version 2 was rolled back by ann: why",))
    assert barred(a_decision(), "rolled back by ann: why").verdict is Verdict.REJECT


def test_decision_of_a_lost_ledger_is_not_adopted_for_what_was_taken_back() -> None:
    """Its tags still say that it was promoted; it is judged, not evaluated again."""
    run = a_run(RunState.TRAINED)
    left = an_outcome(decided=Verdict.PROMOTE, decided_run=run.name)
    seen = a_snapshot(run, outcome=left, champion=(a_champion("7"),), known_champion=a_champion("7"))
    assert decide(seen, NOW) == Advance(
        run=run, to=RunState.PROMOTED, why="it was decided before this ledger knew of it", is_old=True
    )
    action = decide(replace(seen, outcome=replace(left, rolled_back="rolled back by ann: why")), NOW)
    assert isinstance(action, Judge)
    assert action.decision.verdict is Verdict.REJECT


def test_rejected_run_whose_version_a_person_made_champion_is_adopted_as_promoted() -> None:
    """A lost ledger finds its version as champion."""
    run = a_run(RunState.TRAINED)
    left = an_outcome(decided=Verdict.REJECT, decided_run=run.name)
    seen = a_snapshot(run, outcome=left, champion=(a_champion("2"),), known_champion=a_champion("2"))
    action = decide(seen, NOW)
    assert isinstance(action, Advance)
    assert action.to is RunState.PROMOTED


def test_bar_lasts_until_a_person_lifts_it() -> None:
    """What was refused counts for nothing."""
    done = replace(BACK, outcome="done")
    assert rolled_back([done]) == {"2": done}
    assert rolled_back([replace(BACK, outcome="refused"), BACK]) == {}
    assert rolled_back([done, an_intervention("promote", version="2", replaces="1", outcome="done")]) == {}


@pytest.mark.parametrize(
    ("reigns", "champion", "bars", "found"),
    [
        (["1", "2"], "2", [], "1"),
        (["1", "2", "1"], "1", ["2"], ""),
        (["1", "2", "3", "2"], "2", ["3"], "1"),  # a second rollback goes one further
        (["1", "", "2"], "2", [], "1"),
        (["1", "2", ""], "", [], "2"),
        (["1"], "1", [], ""),
        ([], "", [], ""),
    ],
)
def test_rollback_goes_to_the_last_champion_that_nobody_took_back(
    reigns: list[str], champion: str, bars: list[str], found: str
) -> None:
    """Never forward again to what was rolled back."""
    assert predecessor(reigns, champion, bars) == found


# doctor


@pytest.mark.parametrize(
    ("past", "champion", "status", "found"),
    [
        (AliasPast(), "7", Status.OK, "nobody but this ledger's daemon"),
        (AliasPast(champion="2"), "2", Status.OK, "nobody but this ledger's daemon"),
        (AliasPast(champion="2"), "7", Status.WARNING, "alias champion is on version 7, this ledger knows version 2"),
        (AliasPast(champion=""), "7", Status.WARNING, "is on version 7, this ledger knows no version"),
        (AliasPast(champion="2", foreign=[("2", NOW - timedelta(days=31))]), "2", Status.OK, "nobody but"),
        (AliasPast(champion="9", foreign=[("9", NOW)]), "9", Status.WARNING, "once in 30 days, last to version 9 on 2026-03-01"),
        (AliasPast(champion="", foreign=[("9", NOW), ("", NOW)]), "", Status.WARNING, "2 times in 30 days, last to no version"),
    ],
)
def test_doctor_tells_who_else_moves_the_alias(past: AliasPast, champion: str, status: Status, found: str) -> None:
    """Now, and recently."""
    finding = judge_alias(past, champion, NOW)
    assert (finding.status, found in finding.found) == (status, True)
