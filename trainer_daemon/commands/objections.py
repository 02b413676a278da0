"""Why a person cannot have a version as champion, or had better not; each is one sentence. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trainer_daemon.commands.opening import CommandError, Session, file_name, local
from trainer_daemon.commands.records import Records
from trainer_daemon.policy.interventions import Intervention, predecessor, rolled_back
from trainer_daemon.policy.marks import ROLLED_BACK_TAG, STATUS_TAG
from trainer_daemon.policy.promotion import Result
from trainer_daemon.policy.runs import Run, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What ledger and registry say of a version that a person wants.

    Attributes:
        champion: Who is champion in the registry; empty for nobody.
        previous: Where alias `previous-champion` points to; empty when nowhere.
        version: What is wanted; empty when a rollback names none.
        marks: The version's tags; None when there is no such version.
        newer: The drop of the version's run whose bytes have been replaced; empty when none has.
    """

    session: Session
    records: Records
    champion: str
    previous: str = ""
    version: str = ""
    marks: Mapping[str, str] | None = None
    newer: str = ""

    @property
    def run(self) -> Run | None:
        """The run that made the version, as far as this ledger knows."""
        return next((run for run in self.records.runs if self.version and run.model_version == self.version), None)

    @property
    def bar(self) -> str:
        """Who took the version back and why; empty when nobody did."""
        return (self.marks or {}).get(ROLLED_BACK_TAG, "")

    @property
    def pending(self) -> tuple[Intervention, ...]:
        """What was asked for and not carried out yet."""
        return tuple(each for each in self.records.interventions if each.outcome == "pending")


def restorable(scene: Scene) -> str:
    """The version that a rollback goes to when none is named.

    Raises:
        CommandError: There is none.
    """
    reigns = [reign.version for reign in scene.records.reigns]
    barred = rolled_back(scene.records.interventions)
    previous = scene.previous if scene.previous not in {scene.champion, *barred} else ""
    if found := predecessor(reigns, scene.champion, barred) or previous:
        return found
    model, promote = scene.records.model, scene.session.command("promote", "VERSION", "--force", "--reason", "WHY")
    if barred:
        taken_back = ", ".join(f"version {version} was {each.sentence}" for version, each in barred.items())
        msg = f"model {model} has no earlier champion that nobody took back ({taken_back}); name one with --to VERSION"
    elif scene.champion:
        msg = f"model {model} has had no champion before version {scene.champion}; `{promote}` makes another version champion"
    else:
        msg = f"model {model} has never had a champion; `{promote}` makes a version champion"
    raise CommandError(msg)


def refuse_promotion(scene: Scene, *, is_forced: bool) -> None:
    """Raise CommandError when the version cannot be promoted, or only with force."""
    _refuse_impossible(scene)
    waiting = next((each for each in scene.pending if each.version == scene.version), None)
    if waiting is not None:
        raise CommandError(_asked(waiting))
    if not is_forced and (doubt := _doubt(scene)):
        msg = f"{doubt}; --force makes it champion all the same"
        raise CommandError(msg)


def refuse_rollback(scene: Scene, *, is_named: bool) -> None:
    """Raise CommandError when the champion cannot be replaced by the version."""
    if not is_named and (scene.marks is None or scene.bar):
        problem = f"was {scene.bar}" if scene.bar else "does not exist any more"
        msg = f"version {scene.version}, the previous champion, {problem}; name another one with --to VERSION"
        raise CommandError(msg)
    _refuse_impossible(scene)
    waiting = next((each for each in scene.pending if each.kind == "rollback" and each.replaces == scene.champion), None)
    if waiting is not None:
        raise CommandError(_asked(waiting))
    if not _was_champion(scene):
        promote = scene.session.command("promote", scene.version, "--force", "--reason", "WHY")
        msg = f"version {scene.version} has never been champion, so it cannot be restored; `{promote}` makes it champion"
        raise CommandError(msg)


def warnings(scene: Scene) -> Iterator[str]:
    """What a person should know of the version that is to be champion."""
    yield from (f"{each.by} asked before to {each.words}, which is carried out first" for each in scene.pending)
    if scene.bar:
        yield f"version {scene.version} was {scene.bar}"
    run = scene.run
    if run is None:
        return
    if run.state is RunState.QUARANTINED:
        yield f"the drop of version {scene.version} was quarantined: {run.error}"
    elif scene.newer:
        yield f"version {scene.version} was trained on bytes of {file_name(scene.newer)} that newer ones have replaced"


def _refuse_impossible(scene: Scene) -> None:
    if scene.marks is None:
        known = sorted({run.model_version for run in scene.records.runs if run.model_version}, key=int)
        hint = f"this ledger's runs made {', '.join(known)}" if known else "no run has made one yet"
        msg = f"model {scene.records.model} has no version {scene.version} in MLflow; {hint}"
        raise CommandError(msg)
    if scene.version == scene.champion:
        msg = f"version {scene.version} is champion of {scene.records.model} already; nothing is to be done"
        raise CommandError(msg)


def _asked(intervention: Intervention) -> str:
    return f"{intervention.by} has asked already to {intervention.words}, at {local(intervention.at)}; it is not carried out yet"


def _doubt(scene: Scene) -> str:
    """Why nobody but a person would make the version champion; empty when its run was promoted."""
    if scene.bar:
        return f"version {scene.version} was {scene.bar}"
    if scene.run is None:
        return f"no run of this ledger has made version {scene.version}, so nothing was decided about it"
    return _doubt_of(scene.run, scene)


def _doubt_of(run: Run, scene: Scene) -> str:
    version = scene.version
    match run.state:
        case RunState.PROMOTED:
            return ""
        case RunState.REJECTED:
            return f"version {version} was rejected: {run.error or _first_failure(run)}"
        case RunState.AWAITING_APPROVAL:
            approve = scene.session.command("approve", run.name, "--reason", "WHY")
            return f"version {version} waits for approval, `{approve}` gives it"
        case state:
            return f"nothing was decided about version {version}: its run {run.name} is {state}"


def _first_failure(run: Run) -> str:
    outcomes = run.decision.outcomes if run.decision else ()
    return next((each.sentence for each in outcomes if each.result is Result.FAILED), "its decision is not in this ledger")


def _was_champion(scene: Scene) -> bool:
    """By the ledger, or, when that was lost, by what the registry says."""
    known = {reign.version for reign in scene.records.reigns} | {scene.previous}
    return scene.version in known or (scene.marks or {}).get(STATUS_TAG) == "approved"
