"""What the ledger remembers of one model, as values that the commands talk about."""

from dataclasses import dataclass

from trainer_daemon.adapters.ledger.history import Happening, History, Holding, Judgement, Reign, Transition
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """One look at a model's history; everything oldest first, empty before the daemon ran for the first time.

    Attributes:
        holding: Who may act for the model, or could last; None where a lock beside the ledger says it.
    """

    model: str
    runs: tuple[Run, ...] = ()
    happenings: tuple[Happening, ...] = ()
    reigns: tuple[Reign, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    holding: Holding | None = None

    @property
    def champion(self) -> Reign | None:
        """Who is champion as far as the ledger knows."""
        last = self.reigns[-1] if self.reigns else None
        return last if last is not None and last.version else None

    def intervention_of(self, reign: Reign) -> Intervention | None:
        """What a person did that made a champion: both were written down at the same moment."""
        done = (each for each in self.interventions if each.outcome == "done" and each.version == reign.version)
        return next((each for each in done if each.closed_at == reign.at), None)

    def run_of(self, key: str) -> Run | None:
        """The run of a key."""
        return next((run for run in self.runs if run.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What happened to some runs."""

    transitions: tuple[Transition, ...] = ()
    judgements: tuple[Judgement, ...] = ()


def read_records(history: History | None, model: str) -> Records:
    """Look at a model; without a ledger there is nothing to see."""
    if history is None:
        return Records(model=model)
    return Records(
        model=model,
        runs=history.runs(model),
        happenings=history.happenings(model),
        reigns=history.reigns(model),
        interventions=history.interventions(model),
        holding=history.holding(model),
    )


def read_course(history: History, runs: tuple[Run, ...]) -> Course:
    """Look at what happened to these runs."""
    return Course(
        transitions=tuple(move for run in runs for move in history.transitions(run.key)),
        judgements=tuple(made for run in runs for made in history.judgements(run.key)),
    )
