"""What to do next, for every state."""

from pathlib import Path

import pytest

from tests.builders import NOW, a_decision, a_drop, a_drop_event, a_run
from trainer_daemon.adapters.ledger.history import Happening, Reign
from trainer_daemon.commands.advice import advice
from trainer_daemon.commands.matching import Match
from trainer_daemon.commands.opening import Session
from trainer_daemon.commands.records import Records
from trainer_daemon.config import Settings
from trainer_daemon.policy.observations import Verdict
from trainer_daemon.policy.promotion import Result, RuleOutcome
from trainer_daemon.policy.runs import Run, RunState

SETTINGS = Settings.model_validate({"workspace": Path("/w"), "models": ({"name": "churn", "bucket": "file:///drops"},)})
SESSION = Session(config=Path("trainer.toml"), settings=SETTINGS, daemon_pid=7)
STOPPED = Session(config=Path("my conf/t.toml"), settings=SETTINGS)


def told(run: Run, *others: Run, session: Session = SESSION, champion: str = "") -> str:
    """The advice about a run among others."""
    reigns = (Reign(version=champion, run_key="", period="", cause="promoted", at=NOW),) if champion else ()
    records = Records(model="churn", runs=(*others, run), reigns=reigns)
    return "\n".join(advice(Match(kind="run", records=records, runs=(run,)), session))


def told_of(outcome: str, session: Session = SESSION) -> str:
    """The advice about an event without a run."""
    item = Happening(event=a_drop_event(), subject=a_drop().uri, recorded_at=NOW, outcome=outcome, why="why", run_key="")
    return "\n".join(advice(Match(kind="drop", records=Records(model="churn"), happenings=(item,)), session))


@pytest.mark.parametrize("state", RunState)
def test_every_state_has_advice(state: RunState) -> None:
    """Nobody is left alone with a state."""
    assert told(a_run(state))


def test_quarantined_drop_is_to_be_uploaded_again_under_its_name() -> None:
    """That is all: the new bytes are noticed."""
    assert "Correct churn_data_2025_03.csv and upload it again under the same name" in told(a_run(RunState.QUARANTINED))


def test_failed_run_points_at_its_log_and_at_the_command_that_repeats_it() -> None:
    """The command can be copied as it is, whatever the configuration is called."""
    words = told(a_run(RunState.FAILED, attempt=3), session=STOPPED)
    assert f"/w/runs/{a_run(attempt=3).name}/log.txt" in words
    assert "`trainer-daemon trigger --drop churn_data_2025_03.csv -c 'my conf/t.toml'`" in words


def test_run_on_kubeflow_is_looked_at_on_its_page() -> None:
    """There is no log on this machine; without the address of the pages its id has to do."""
    orchestrator = {"kind": "kubeflow", "image": "i", "ui_url": "https://kf.example"}
    for section, place in (
        (orchestrator, "https://kf.example/#/runs/details/4711"),
        ({**orchestrator, "ui_url": ""}, "run 4711 on Kubeflow Pipelines"),
    ):
        settings = Settings.model_validate({"orchestrator": section, "models": ({"name": "churn", "bucket": "file:///drops"},)})
        session = Session(config=Path("trainer.toml"), settings=settings)
        assert f"What the run printed: {place}" in told(a_run(RunState.FAILED, orchestrator_run="4711"), session=session)
        assert f"watch it at {place}." in told(a_run(RunState.RUNNING, orchestrator_run="4711"), session=session)


@pytest.mark.parametrize(
    ("keys", "namespace"), [({}, "kubeflow"), ({"namespace": "kfp"}, "kfp"), ({"user_namespace": "ann"}, "ann")]
)
def test_failed_run_on_kubeflow_says_how_to_read_the_log_of_its_steps(keys: dict[str, str], namespace: str) -> None:
    """Their pods are in the profile of the run, or where Kubeflow Pipelines is; a run that never got there has none."""
    section = {"kind": "kubeflow", "image": "i", **keys}
    settings = Settings.model_validate({"orchestrator": section, "models": ({"name": "churn", "bucket": "file:///drops"},)})
    session = Session(config=Path("trainer.toml"), settings=settings)
    words = told(a_run(RunState.FAILED, orchestrator_run="4711"), session=session)
    assert f"`kubectl logs --namespace {namespace} --selector pipeline/runid=4711 --container main" in words
    assert "kubectl" not in told(a_run(RunState.FAILED), session=session)


def test_failed_run_with_attempts_left_needs_nobody() -> None:
    """It is tried again by itself."""
    words = told(a_run(RunState.FAILED, attempt=1))
    assert "Attempt 2 of 3 follows by itself" in words
    assert "trigger" not in words


def test_queued_run_says_what_it_waits_for() -> None:
    """The run under way, then the backlog in its order, then a slot; and whether anybody is there to start it."""
    march, may, june = (a_run(RunState.QUEUED, a_drop(period)) for period in ("2025-03", "2025-05", "2025-06"))
    busy = a_run(RunState.RUNNING, a_drop("2025-01"))
    assert f"It waits for run {busy.name} (RUNNING) and 2 earlier queued runs" in told(june, busy, march, may)
    assert f"It waits for 1 earlier queued runs, the first of them is {march.name}" in told(may, march, june)
    assert "It starts as soon as a slot is free" in told(march, may)
    assert "The daemon is running (pid 7)" in told(march)
    assert "No daemon is running; start one with `trainer-daemon run -c 'my conf/t.toml'`" in told(march, session=STOPPED)


def test_rejected_candidate_names_the_rules_it_did_not_pass() -> None:
    """And where the rules are written."""
    failed = RuleOutcome(rule="min_gain[log_loss]", result=Result.FAILED, sentence="worse")
    passed = RuleOutcome(rule="evaluated", result=Result.PASSED, sentence="fine")
    words = told(a_run(RunState.REJECTED, decision=a_decision(Verdict.REJECT, outcomes=(passed, failed))))
    assert "did not pass min_gain[log_loss]." in words
    assert "[models.promotion] in trainer.toml" in words
    assert "--force" in words


def test_candidate_that_only_shadow_mode_rejected_passed_every_rule() -> None:
    """The operator changes the mode, not a rule; without a champion nobody goes on serving."""
    shadow = RuleOutcome(rule="shadow", result=Result.FAILED, sentence="nobody is promoted; otherwise it would be promoted")
    run = a_run(RunState.REJECTED, decision=a_decision(Verdict.REJECT, outcomes=(shadow,)))
    assert "passed every rule" in told(run)
    assert "there is no champion, as before" in told(run)
    assert "the champion goes on serving" in told(run, champion="1")
    assert "set another mode in trainer.toml" in told(run)


def test_rejected_candidate_that_somebody_made_champion_is_what_serving_loads() -> None:
    """Nobody is told that another one goes on serving."""
    failed = RuleOutcome(rule="min_gain[log_loss]", result=Result.FAILED, sentence="worse")
    run = a_run(RunState.REJECTED, decision=a_decision(Verdict.REJECT, outcomes=(failed,)), model_version="2")
    words = told(run, champion="2")
    assert words.startswith("It is what serving loads, although it was rejected.")
    assert "`trainer-daemon rollback --reason WHY`" in words
    assert "the champion goes on serving" in told(run, champion="3")


def test_superseded_run_points_at_its_newest_successor() -> None:
    """By name, with the command that tells its story."""
    old = a_run(RunState.SUPERSEDED)
    new = a_run(RunState.PROMOTED, a_drop(content="b"), sequence=2)
    assert f"`trainer-daemon explain {new.name}`" in told(old, new)
    assert "newer data took its place" in told(old)


def test_former_champion_names_the_present_one() -> None:
    """What serving loads is said only of the champion itself."""
    run = a_run(RunState.PROMOTED, model_version="2")
    assert "it is what serving loads" in told(run, champion="2")
    assert "version 3 is champion meanwhile" in told(run, champion="3")


def test_events_without_a_run_have_advice_too() -> None:
    """Waiting, ignored, left out, and settled."""
    assert "No daemon is running" in told_of("pending", STOPPED)
    assert "A drop has a name like churn_data_{period}.csv" in told_of("rejected")
    assert "`trainer-daemon trigger --drop churn_data_2025_03.csv` trains it after all" in told_of("skipped")
    assert told_of("duplicated") == "Nothing has to be done."
