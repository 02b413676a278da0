from dataclasses import replace

import pytest

from tests.builders import NOW, a_decision, a_drop, a_run
from trainer_daemon.policy.answers import Answer
from trainer_daemon.policy.notice_text import TEXT_MAX, sentence, slack_text
from trainer_daemon.policy.notices import (
    Addressee,
    Notice,
    NoticeKind,
    about_drop,
    about_intervention,
    about_run,
    about_test,
    kind_of_move,
    wanting,
)
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Result, RuleOutcome
from trainer_daemon.policy.runs import MOVES, Run, RunState

WAITS = a_run(RunState.AWAITING_APPROVAL, decision=a_decision())
YES = Answer(approved=True, by="ann", reason="checked", at=NOW)


def told(kind: NoticeKind, run: Run | None = None, *, why: str = "because", link: str = "") -> Notice:
    """A notice about a run."""
    return about_run(kind, run or a_run(RunState.FAILED, model_version="2"), why=why, link=link, at=NOW)


def by_ann(kind: NoticeKind) -> Notice:
    """A notice about what a person did."""
    return about_intervention(kind, "churn", version="1", previous="2", by="ann", reason="because", at=NOW)


@pytest.mark.parametrize(
    ("run", "to", "is_over", "kind"),
    [
        (a_run(RunState.TRAINED), RunState.PROMOTED, True, "candidate_promoted"),
        (a_run(RunState.TRAINED), RunState.REJECTED, True, "candidate_rejected"),
        (a_run(RunState.TRAINED), RunState.AWAITING_APPROVAL, False, "approval_requested"),
        (WAITS, RunState.REJECTED, True, "approval_expired"),
        (replace(WAITS, answer=replace(YES, approved=False)), RunState.REJECTED, True, "candidate_rejected"),
        (replace(WAITS, decision=None), RunState.REJECTED, True, "candidate_rejected"),
        (a_run(RunState.RUNNING), RunState.QUARANTINED, True, "drop_quarantined"),
        (a_run(RunState.RUNNING), RunState.FAILED, True, "run_failed"),
        (a_run(RunState.RUNNING), RunState.FAILED, False, None),
    ],
)
def test_moves_that_somebody_wants_to_hear_of(run: Run, to: RunState, is_over: bool, kind: str | None) -> None:  # noqa: FBT001 - a parameter
    """Decisions, quarantines, failures for good, and what waits for a person."""
    assert kind_of_move(run, to, is_over=is_over) == kind


def test_other_moves_are_no_news() -> None:
    """A run that is queued, started, trained, superseded or cancelled."""
    quiet = {RunState.QUEUED, RunState.RUNNING, RunState.TRAINED, RunState.SUPERSEDED, RunState.CANCELED}
    moves = [(before, to) for before, after in MOVES.items() for to in after if to in quiet]
    assert len(moves) > 10
    assert {kind_of_move(a_run(before), to, is_over=True) for before, to in moves} == {None}


def test_notice_says_of_the_run_what_status_says() -> None:
    """With the version it was compared with, the reasons, and the link."""
    rules = (RuleOutcome(rule="r", result=Result.FAILED, sentence="worse"),)
    run = a_run(RunState.REJECTED, decision=a_decision(Verdict.REJECT, outcomes=rules), model_version="2")
    notice = told(NoticeKind.CANDIDATE_REJECTED, run, why="worse", link="https://kf/1")
    assert (notice.id, notice.subject, notice.model) == (f"candidate_rejected:{run.name}", run.name, "churn")
    assert {name: notice.data[name] for name in ("name", "state", "link", "champion_version", "reasons")} == {
        "name": run.name,
        "state": "REJECTED",
        "link": "https://kf/1",
        "champion_version": "1",
        "reasons": ["worse"],
    }


def test_reasons_are_the_decisions_unless_a_person_had_one() -> None:
    """Several rules are several reasons; an approval is one."""
    rules = tuple(RuleOutcome(rule=name, result=Result.PASSED, sentence=name) for name in ("a", "b"))
    run = a_run(RunState.PROMOTED, decision=a_decision(outcomes=rules))
    assert told(NoticeKind.CANDIDATE_PROMOTED, run, why="a; b").data["reasons"] == ["a", "b"]
    assert told(NoticeKind.CANDIDATE_PROMOTED, run, why=YES.sentence).data["reasons"] == ["approved by ann: checked"]


def test_ids_are_stable_different_and_fit_for_headers() -> None:
    """The same thing has the same id; ids have no full stop, which separates them from what is signed with them."""
    drop = a_drop(uri="gs://b/ü .csv")
    made = [told(kind) for kind in NoticeKind]
    made += [about_drop("churn", drop, why="bad", at=NOW), about_drop("churn", a_drop(), why="bad", at=NOW)]
    made += [by_ann(NoticeKind.CHAMPION_ROLLED_BACK), by_ann(NoticeKind.CHAMPION_PROMOTED_BY_OPERATOR), about_test(NOW)]
    assert len({notice.id for notice in made}) == len(made)
    assert all(notice.id.isascii() and notice.id.isprintable() and "." not in notice.id for notice in made)
    assert told(NoticeKind.RUN_FAILED, why="x").id == told(NoticeKind.RUN_FAILED, why="y").id


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_kind_is_a_sentence_with_its_reason(kind: NoticeKind) -> None:
    """Model first, reason last."""
    is_by_hand = kind in {NoticeKind.CHAMPION_ROLLED_BACK, NoticeKind.CHAMPION_PROMOTED_BY_OPERATOR}
    notice = by_ann(kind) if is_by_hand else told(kind)
    text = sentence(notice)
    assert text.startswith("churn: ")
    assert text.endswith(": because")
    assert "None" not in text


def test_sentence_names_what_a_person_needs() -> None:
    """The file, the versions, the command."""
    assert "churn_data_2025_03.csv" in sentence(about_drop("churn", a_drop(), why="cut off", at=NOW))
    run = a_run(RunState.PROMOTED, decision=a_decision(), model_version="2")
    assert "version 2 of 2025-03 is champion now, in place of version 1" in sentence(told(NoticeKind.CANDIDATE_PROMOTED, run))
    assert f"`trainer-daemon approve {WAITS.name}`" in sentence(told(NoticeKind.APPROVAL_REQUESTED, WAITS))


def test_promotion_is_told_by_the_reason_that_says_most_unless_a_person_gave_one() -> None:
    """Every rule that it passed is a reason, and a chat is no place for all of them; what it failed is told in full."""
    rules = tuple(
        RuleOutcome(rule=name, result=Result.PASSED, sentence=f"about {name}") for name in ("registered", "min_gain[log_loss]")
    )
    run = a_run(RunState.PROMOTED, decision=a_decision(outcomes=rules), model_version="2")
    by_rules = told(NoticeKind.CANDIDATE_PROMOTED, run, why="about registered; about min_gain[log_loss]")
    assert sentence(by_rules).endswith("in place of version 1: about min_gain[log_loss]")
    assert sentence(told(NoticeKind.CANDIDATE_PROMOTED, run, why=YES.sentence)).endswith(": approved by ann: checked")
    failed = tuple(replace(rule, result=Result.FAILED) for rule in rules)
    rejected = replace(run, state=RunState.REJECTED, decision=a_decision(Verdict.REJECT, outcomes=failed))
    notice = told(NoticeKind.CANDIDATE_REJECTED, rejected, why="about registered; about min_gain[log_loss]")
    assert sentence(notice).endswith("was rejected: about registered; about min_gain[log_loss]")


def test_nothing_from_outside_is_markup_for_slack() -> None:
    """A reason may quote a file; a link is one only where we make it; a long text is cut."""
    text = slack_text(told(NoticeKind.RUN_FAILED, why="<!channel> & <https://evil|here>", link="https://kf/?a=1&b=2"))
    assert text.endswith("&lt;!channel&gt; &amp; &lt;https://evil|here&gt; <https://kf/?a=1&amp;b=2|The run>")
    assert len(slack_text(told(NoticeKind.RUN_FAILED, why="x" * 10_000))) == TEXT_MAX + 1


def test_only_who_wants_to_be_told_is_told() -> None:
    """By kind."""
    ops = Addressee(name="ops", kinds=frozenset({NoticeKind.RUN_FAILED}))
    chat = Addressee(name="chat", kinds=frozenset(NoticeKind))
    assert wanting(NoticeKind.RUN_FAILED, (ops, chat)) == ("ops", "chat")
    assert wanting(NoticeKind.CANDIDATE_PROMOTED, (ops, chat)) == ("chat",)
