"""What happened, in plain words and in order."""

from datetime import timedelta
from typing import Any

import pytest

from tests.builders import NOW, a_decision, a_drop, a_drop_event, a_run, an_operator_event
from trainer_daemon.adapters.ledger.history import Happening, Judgement, Reign, Transition
from trainer_daemon.commands.matching import Match
from trainer_daemon.commands.records import Course, Records
from trainer_daemon.commands.timeline import Entry, Tone, timeline
from trainer_daemon.policy.events import Event
from trainer_daemon.policy.promotion import Result, RuleOutcome
from trainer_daemon.policy.runs import MOVES, Run, RunState

RUN = a_run(RunState.PROMOTED, model_version="2", decision=a_decision())
EVALUATION = {
    "format": 1,
    "run_key": RUN.key,
    "attempt": 1,
    "holdout": {"rows": 204},
    "candidate": {"metrics": {"log_loss": 0.5, "brier": 0.1, "f1": 0.4}},
    "champion": {"version": "1", "metrics": {"log_loss": 0.625}},
}


def a_move(
    from_state: str, to_state: str, *, minute: int = 0, why: str = "because", by: str = "daemon", attempt: int = 1
) -> Transition:
    """A move of `RUN`."""
    at = NOW + timedelta(minutes=minute)
    return Transition(run_key=RUN.key, from_state=from_state, to_state=to_state, attempt=attempt, why=why, by=by, at=at)


def an_item(event: Event, outcome: str, why: str = "because") -> Happening:
    """An event and its outcome."""
    return Happening(
        event=event, subject=event.drop.uri if event.drop else "", recorded_at=NOW, outcome=outcome, why=why, run_key=""
    )


def a_judgement(evaluation: dict[str, Any] = EVALUATION, *rules: RuleOutcome) -> Judgement:
    """The decision on `RUN`."""
    return Judgement(run_key=RUN.key, attempt=1, decision=a_decision(outcomes=rules), evaluation=evaluation, at=NOW)


def told(
    *course: Transition | Judgement, happenings: tuple[Happening, ...] = (), reigns: tuple[Reign, ...] = (), run: Run = RUN
) -> tuple[Entry, ...]:
    """The timeline of one run."""
    records = Records(model="churn", runs=(run,), happenings=happenings, reigns=reigns)
    return timeline(
        Match(kind="run", records=records, runs=(run,), happenings=happenings),
        Course(
            transitions=tuple(item for item in course if isinstance(item, Transition)),
            judgements=tuple(item for item in course if isinstance(item, Judgement)),
        ),
    )


def test_everything_is_told_in_the_order_in_which_it_happened() -> None:
    """Whatever table it comes from."""
    reign = Reign(version="3", run_key="", period="", cause="external", at=NOW + timedelta(hours=1))
    mine = Reign(version="2", run_key=RUN.key, period="", cause="promoted", at=NOW + timedelta(minutes=3))
    entries = told(
        a_move("TRAINED", "PROMOTED", minute=3),
        a_move("", "QUEUED", minute=1),
        happenings=(an_item(a_drop_event(), "queued"),),
        reigns=(mine, reign),
    )
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert [entry.text for entry in entries] == [
        "churn_data_2025_03.csv arrived, 1 bytes, period 2025-03, noticed by the folder watch",
        f"run {RUN.name} was queued",
        "version 2 became champion",
        "version 2 stopped being champion: version 3 was put there outside the daemon",
    ]


@pytest.mark.parametrize(("before", "after"), [(before, after) for before, moves in MOVES.items() for after in moves])
def test_every_possible_move_is_told(before: RunState, after: RunState) -> None:
    """With a text of its own, without placeholders."""
    (entry,) = told(a_move(before.value, after.value))
    assert entry.text
    assert "{" not in entry.text


def test_reasons_and_persons_belong_to_the_moves_they_explain() -> None:
    """A move that somebody asked for says who."""
    (entry,) = told(a_move("RUNNING", "FAILED", why="out of memory"))
    assert (entry.text, entry.details, entry.tone) == ("attempt 1 failed", ("out of memory",), Tone.BAD)
    (again,) = told(a_move("FAILED", "QUEUED", why="retry", by="ann", attempt=2))
    assert again.text == f"it was queued again as {RUN.name.removesuffix('1')}2"
    assert again.details == ("retry", "asked for by ann")


def test_promotion_names_both_versions() -> None:
    """And the first one as the first."""
    (entry,) = told(a_move("TRAINED", "PROMOTED"))
    assert entry.details == ("alias champion moved from version 1 to 2",)
    (first,) = told(a_move("TRAINED", "PROMOTED"), run=a_run(RunState.PROMOTED, decision=a_decision(champion_version="")))
    assert first.details == ("alias champion was set for the first time",)


def test_decision_shows_scores_of_the_metrics_that_rules_are_about_and_every_rule() -> None:
    """Of candidate and champion, on how many rows."""
    rules = (
        RuleOutcome(rule="threshold[f1]", result=Result.FAILED, sentence="too low"),
        RuleOutcome(rule="max_loss[roc_auc]", result=Result.NOT_APPLICABLE, sentence="nobody to lose against"),
    )
    (entry,) = told(a_judgement(EVALUATION, *rules))
    assert entry.text == "it was evaluated on 204 held-out rows against champion version 1"
    assert entry.details == (
        "log_loss: the candidate 0.5000, the champion 0.6250",
        "f1: the candidate 0.4000",
        "FAILED: too low",
        "does not apply: nobody to lose against",
    )


def test_unreadable_evaluation_is_told_as_such() -> None:
    """Old ledgers and broken files are explained too."""
    (entry,) = told(a_judgement({}))
    assert entry.text == "it was judged without an evaluation"
    assert "format None" in entry.details[0]


@pytest.mark.parametrize(
    ("event", "outcome", "text", "detail"),
    [
        (a_drop_event(a_drop()), "pending", "churn_data_2025_03.csv arrived", "the daemon has not acted on it yet"),
        (a_drop_event(a_drop()), "duplicated", "churn_data_2025_03.csv arrived", "nothing is trained for it: because"),
        (a_drop_event(a_drop()), "rejected", "churn_data_2025_03.csv arrived", "it was ignored: because"),
        (an_operator_event(a_drop(), force=True), "queued", "ann asked for a run of churn_data_2025_03.csv, forced", "because"),
        (an_operator_event(), "queued", "ann asked for a run of the newest drop", "because"),
    ],
)
def test_events_say_what_became_of_them(event: Event, outcome: str, text: str, detail: str) -> None:
    """Also those that started nothing."""
    (entry,) = told(happenings=(an_item(event, outcome),))
    assert entry.text.startswith(text)
    assert "".join(entry.details).startswith(detail)


def test_second_upload_of_a_file_is_told_as_such() -> None:
    """It is the same file that came again."""
    entries = told(happenings=(an_item(a_drop_event(), "queued"), an_item(a_drop_event(a_drop(generation="2")), "duplicated")))
    assert [" again" in entry.text for entry in entries] == [False, True]


def test_things_that_happened_once_keep_their_id() -> None:
    """Two looks tell the same story; different things have different ids."""
    course = (a_move("", "QUEUED"), a_move("QUEUED", "RUNNING", minute=1), a_judgement())
    ids = [entry.id for entry in told(*course)]
    assert ids == [entry.id for entry in told(*course)]
    assert len(set(ids)) == len(ids)
