"""What to do next, for every state that a run or an event can be in. Pure."""

from typing import assert_never

from trainer_daemon.adapters.ledger.history import Happening
from trainer_daemon.commands.matching import Match
from trainer_daemon.commands.opening import Session, file_name, local
from trainer_daemon.commands.records import Records
from trainer_daemon.policy.interventions import rolled_back
from trainer_daemon.policy.promotion import SHADOW, Result
from trainer_daemon.policy.runs import OPEN, Run, RunState


def advice(found: Match, session: Session) -> tuple[str, ...]:
    """What to do next about what was matched: about its newest run, or about its newest event when no run came of it."""
    waiting = tuple(each for each in found.records.interventions if each.outcome == "pending")
    if concerned := [each for each in waiting if found.versions & {each.version, each.replaces}]:
        return (f"{concerned[0].by} has asked to {concerned[0].words}; the daemon acts on it.", session.daemon())
    newest = found.happenings[-1] if found.happenings else None
    run = found.runs[-1] if found.runs else None
    if newest is not None and newest.outcome in {"pending", "rejected", "quarantined"}:
        return _about_event(newest, session)
    if run is not None:
        return _about_run(run, found.records, session)
    return _about_event(newest, session) if newest is not None else _about_strangers(found, session)


def _about_strangers(found: Match, session: Session) -> tuple[str, ...]:
    """Versions that no run of this ledger made."""
    champion = found.records.champion
    if champion is None or champion.version not in found.versions:
        return ("Nothing has to be done: it is not champion, and no run of this ledger made it.",)
    return (_put_there("no run of this ledger made it", session),)


def _put_there(although: str, session: Session) -> str:
    """About a champion that the daemon has not made one."""
    back = session.command("rollback", "--reason", "WHY")
    return f"It is what serving loads, although {although}. If nobody should have put it there: `{back}`."


def _about_event(item: Happening, session: Session) -> tuple[str, ...]:
    match item.outcome:
        case "pending":
            return ("It waits for the daemon to act on it.", session.daemon())
        case "rejected":
            wanted = session.model(item.event.model).drops
            return (f"Nothing will come of it. A drop has a name like {wanted}, with a month from 01 to 12: upload it as such.",)
        case "quarantined":
            return (f"Correct {file_name(item.subject)} and upload it again under the same name.",)
        case "skipped":
            return (f"It is history that was left out; `{_trigger(item, session)}` trains it after all.",)
        case _:
            return ("Nothing has to be done.",)


def _trigger(item: Happening, session: Session) -> str:
    return session.command("trigger", "--drop", file_name(item.subject))


def _about_run(run: Run, records: Records, session: Session) -> tuple[str, ...]:  # noqa: PLR0911 - one line per state
    match run.state:
        case RunState.QUEUED:
            return (*_waits_for(run, records), session.daemon())
        case RunState.RUNNING | RunState.TRAINED:
            return (f"It is being worked on; {_watch(run, session)}.", session.daemon())
        case RunState.FAILED:
            return _about_failure(run, session)
        case RunState.PROMOTED:
            return _about_promotion(run, records)
        case RunState.REJECTED:
            return _about_rejection(run, records, session)
        case RunState.AWAITING_APPROVAL:
            return _about_approval(run, session)
        case RunState.QUARANTINED:
            return _about_quarantine(run, session)
        case RunState.SUPERSEDED:
            return _about_successor(run, records, session)
        case RunState.CANCELED:
            return (f"Nothing will come of it; `{_once_more(run, session)}` asks for it again.",)
        case _:
            assert_never(run.state)


def _watch(run: Run, session: Session) -> str:
    if session.settings.orchestrator.kind == "local":
        return f"watch it with `tail -f {session.place_of(run)}`"
    return f"watch it at {session.place_of(run)}"


def _waits_for(run: Run, records: Records) -> tuple[str, ...]:
    if run.ending is RunState.CANCELED:
        return (f"It will be cancelled: {run.ending_reason}.",)
    busy = next((other for other in records.runs if other.state in OPEN), None)
    earlier = [other for other in records.runs if other.state is RunState.QUEUED and _place(other) < _place(run)]
    if busy is not None:
        behind = f" and {len(earlier)} earlier queued runs" if earlier else ""
        return (f"It waits for run {busy.name} ({busy.state}){behind}: runs of one model go one after another.",)
    if earlier:
        return (f"It waits for {len(earlier)} earlier queued runs, the first of them is {earlier[0].name}.",)
    return (f"It starts as soon as a slot is free, not before {local(run.ready_at)}.",)


def _place(run: Run) -> tuple[str, int]:
    return run.period, run.sequence


def _about_failure(run: Run, session: Session) -> tuple[str, ...]:
    log = _log(run, session)
    if run.attempt < run.attempts_max:
        return (f"Attempt {run.attempt + 1} of {run.attempts_max} follows by itself.", *log)
    return (*log, f"When the cause is gone: `{_once_more(run, session)}`.")


def _log(run: Run, session: Session) -> tuple[str, ...]:
    printed = f"What the run printed: {session.place_of(run)}"
    orchestrator = session.settings.orchestrator
    if orchestrator.kind == "local" or not run.orchestrator_run:
        return (printed,)
    when = "While its pods are there" if orchestrator.kind == "kubeflow" else "In Cloud Logging"
    return (printed, f"{when}: `{orchestrator.log_command(run.orchestrator_run)}`.")


def _about_quarantine(run: Run, session: Session) -> tuple[str, ...]:
    return (
        f"Correct {file_name(run.drop.uri)} and upload it again under the same name: the new bytes are trained by themselves.",
        f"If the file is right and {session.config} is wrong, change that, restart the daemon and `{_again(run, session)}`.",
    )


def _about_promotion(run: Run, records: Records) -> tuple[str, ...]:
    champion = records.champion
    if champion is None or champion.version == run.model_version:
        return ("Nothing has to be done: it is what serving loads.",)
    return (f"Nothing has to be done; version {champion.version} is champion meanwhile.",)


def _about_approval(run: Run, session: Session) -> tuple[str, ...]:
    if run.answer is not None:
        return (f"It was {run.answer.sentence}; the daemon carries it out.", session.daemon())
    yes, no = (session.command(verb, run.name, "--reason", "WHY") for verb in ("approve", "reject"))
    return (f"A person has to decide: `{yes}` makes it champion, `{no}` leaves the champion in place.",)


def _about_rejection(run: Run, records: Records, session: Session) -> tuple[str, ...]:
    if run.model_version in rolled_back(records.interventions):
        back = session.command("promote", run.model_version, "--force", "--reason", "WHY")
        return (f"Nothing has to be done: a person took it back, and only a person brings it back: `{back}`.",)
    if records.champion and records.champion.version == run.model_version:
        return (_put_there("it was rejected", session),)
    stays = "the champion goes on serving" if records.champion else "there is no champion, as before"
    if run.error:
        return (f"Nothing has to be done: {stays}. The candidate was not accepted: {run.error}.",)
    failed = [outcome.rule for outcome in run.decision.outcomes if outcome.result is Result.FAILED] if run.decision else []
    if failed == [SHADOW]:
        return (
            f'Nothing has to be done: {stays}. The candidate passed every rule, but [models.promotion] has mode = "shadow".',
            f"To let the daemon promote, set another mode in {session.config}; this candidate again: `{_again(run, session)}`.",
        )
    return (
        f"Nothing has to be done: {stays}. The candidate did not pass {', '.join(failed) or 'its rules'}.",
        f"If the rule is wrong, change [models.promotion] in {session.config} and ask again: `{_again(run, session)}`.",
    )


def _about_successor(run: Run, records: Records, session: Session) -> tuple[str, ...]:
    newer = [other for other in records.runs if other.drop.uri == run.drop.uri and other.sequence > run.sequence]
    if newer:
        return (f"Nothing has to be done; its successor is {newer[-1].name}: `{session.command('explain', newer[-1].name)}`.",)
    return ("Nothing has to be done: newer data took its place.",)


def _once_more(run: Run, session: Session) -> str:
    """The same run again: it ended without a decision."""
    return session.command("trigger", "--drop", file_name(run.drop.uri))


def _again(run: Run, session: Session) -> str:
    """A new run of the same bytes."""
    return session.command("trigger", "--drop", file_name(run.drop.uri), "--force")
