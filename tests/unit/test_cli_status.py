"""`status` as a value: the JSON contract and the one sentence per run."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.builders import NOW, a_decision, a_drop, a_drop_event, a_run, an_operator_event
from trainer_daemon.adapters.ledger.history import Happening, Reign
from trainer_daemon.adapters.ledger.outbox import Waiting
from trainer_daemon.commands.records import Records
from trainer_daemon.commands.status import document
from trainer_daemon.commands.status_table import main_reason, undelivered
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Result, RuleOutcome
from trainer_daemon.policy.runs import RunState


def outcome(rule: str, result: Result) -> RuleOutcome:
    """A rule whose sentence is its name."""
    return RuleOutcome(rule=rule, result=result, sentence=f"about {rule}")


def only(records: Records) -> dict[str, Any]:
    """The document of one model."""
    (model,) = document((records,), lambda run: f"https://kf/{run.orchestrator_run}" if run.orchestrator_run else "")["models"]
    return dict(model)


def test_model_without_a_past_is_listed_empty() -> None:
    """Every key is there, so that a reader needs no special case."""
    assert only(Records(model="churn")) == {
        "name": "churn",
        "champion": None,
        "runs": [],
        "quarantined": [],
        "superseded": [],
        "interventions": [],
        "lease": None,
    }


def test_run_is_listed_with_every_key() -> None:
    """What there is none of is null, not an empty text."""
    rules = (outcome("evaluated", Result.PASSED), outcome("min_gain[log_loss]", Result.FAILED))
    run = a_run(
        RunState.REJECTED, orchestrator_run="o", model_version="2", decision=a_decision(Verdict.REJECT, outcomes=rules), attempt=2
    )
    waiting = a_run(RunState.QUEUED, a_drop("2025-05"))
    listed = only(Records(model="churn", runs=(run, waiting)))["runs"]
    assert listed[0] == {
        "key": run.key,
        "name": run.name,
        "period": "2025-03",
        "drops": ["file:///drops/churn_data_2025_03.csv#1"],
        "state": "REJECTED",
        "attempt": 2,
        "attempts_max": 3,
        "orchestrator_run": "o",
        "link": "https://kf/o",
        "model_version": "2",
        "decision": {
            "verdict": "reject",
            "main_reason": "about min_gain[log_loss]",
            "reasons": ["about min_gain[log_loss]"],
        },
        "error": None,
    }
    assert [listed[1][key] for key in ("orchestrator_run", "link", "model_version", "decision")] == [None] * 4


def test_champion_is_the_last_reign_with_the_name_of_its_run() -> None:
    """A version that no run of this ledger made has none; a removed alias is nobody."""
    run = a_run(RunState.PROMOTED)
    ours = Reign(version="1", run_key=run.key, period="2025-03", cause="promoted", at=NOW)
    foreign = replace(ours, version="9", run_key="")
    assert only(Records(model="churn", runs=(run,), reigns=(foreign, ours)))["champion"] == {"version": "1", "run": run.name}
    assert only(Records(model="churn", runs=(run,), reigns=(ours, foreign)))["champion"] == {"version": "9", "run": None}
    assert only(Records(model="churn", runs=(run,), reigns=(ours, replace(ours, version=""))))["champion"] is None


def test_superseded_lists_runs_and_drops_that_never_had_one() -> None:
    """Each drop once; an operator's outdated request is no drop."""
    run = a_run(RunState.SUPERSEDED)
    before = a_drop(generation="0", content="z")
    items = tuple(
        Happening(event=event, subject="", recorded_at=NOW, outcome="superseded", why="", run_key="")
        for event in (a_drop_event(before), a_drop_event(run.drop), an_operator_event(a_drop("2025-01")))
    )
    assert only(Records(model="churn", runs=(run,), happenings=items))["superseded"] == [run.drop.ref, before.ref]


def test_quarantined_lists_the_reason() -> None:
    """Of the drop the run was for."""
    run = a_run(RunState.QUARANTINED, a_drop("2025-01"), a_drop("2025-03"), error="no target column")
    assert only(Records(model="churn", runs=(run,)))["quarantined"] == [
        {"drop": a_drop("2025-03").ref, "reason": "no target column"}
    ]


def test_main_reason_of_a_promotion_is_the_gain() -> None:
    """Of a first champion it is the threshold that it passed."""
    rules = (
        outcome("registered", Result.PASSED),
        outcome("threshold[roc_auc]", Result.PASSED),
        outcome("min_gain[log_loss]", Result.PASSED),
    )
    assert main_reason(a_run(RunState.PROMOTED, decision=a_decision(outcomes=rules))) == "about min_gain[log_loss]"
    first = a_decision(outcomes=rules[:2], champion_version="")
    assert main_reason(a_run(RunState.PROMOTED, decision=first)) == "first champion: about threshold[roc_auc]"
    assert main_reason(a_run(RunState.PROMOTED)) == "its version was made champion by hand"


def test_main_reason_of_a_rejection_is_the_first_rule_that_failed() -> None:
    """Not one that passed."""
    rules = (
        outcome("min_gain[log_loss]", Result.PASSED),
        outcome("threshold[roc_auc]", Result.FAILED),
        outcome("z", Result.FAILED),
    )
    assert (
        main_reason(a_run(RunState.REJECTED, decision=a_decision(Verdict.REJECT, outcomes=rules))) == "about threshold[roc_auc]"
    )


def test_main_reason_says_what_a_waiting_run_waits_for() -> None:
    """A cancellation that is asked for comes before everything else."""
    assert main_reason(a_run(RunState.QUEUED)) == "waits for its turn"
    assert main_reason(a_run(RunState.QUEUED, error="out of memory", ready_at=NOW + timedelta(minutes=1))).endswith(
        ": out of memory"
    )
    assert (
        main_reason(a_run(RunState.RUNNING, ending=RunState.CANCELED, ending_reason="ann: wrong"))
        == "to be cancelled: ann: wrong"
    )
    superseded = a_run(RunState.SUPERSEDED, error="newer bytes arrived: file:///a/b/c.csv#2")
    assert main_reason(superseded) == "newer bytes arrived: c.csv#2"


def test_what_waits_to_be_told_is_listed_per_endpoint() -> None:
    """Whether or not something does; people are told only of what does, or was refused."""
    late = Waiting(endpoint="ops", number=2, since=NOW, error="it answered 500", refused=1)
    waiting = (late, Waiting(endpoint="chat"))
    assert document((), lambda _: "", waiting)["notifications"] == [
        {"endpoint": "ops", "waiting": 2, "since": NOW.isoformat(), "error": "it answered 500", "refused": 1},
        {"endpoint": "chat", "waiting": 0, "since": None, "error": None, "refused": 0},
    ]
    lines = list(undelivered(waiting))
    assert len(lines) == 2
    assert lines[0].startswith("2 notifications wait for ops, the oldest since ")
    assert lines[0].endswith(": it answered 500")
    assert lines[1] == "1 notification was refused by ops"
