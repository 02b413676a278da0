"""One prediction job from request to result, on any orchestrator.

There is no row in the ledger for it, on purpose: the ledger orders the runs of a model one after another and decides about
champions, and a prediction does neither. What has to survive a crash is in three places that are there anyway: the run is found
by its deterministic name, its receipt on MLflow by the run key, the predictions by their URI - and they count only while their
bytes have the checksum of the receipt. So

* after `kill -9` of this process the same call finds the run and follows it,
* after `kill -9` of the run as well it begins the attempt again under the same name, and the step overwrites what was half done,
* after the end it finds the predictions and begins nothing,
* two calls at once have one run, since submitting a name twice adopts,
* a run that has failed or was cancelled keeps its name, so the next call takes the next number, except for data that the model
  refuses: that is not tried again.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Failure, Observation, Phase
from trainer_daemon.policy.predictions import Move, PredictionJob, Receipt, experiment_of, next_move
from trainer_daemon.ports import Orchestrator, RunRequest, Submission

_OPEN = frozenset({Phase.PENDING, Phase.RUNNING, Phase.UNKNOWN})


class Receipts(Protocol):
    """What runs say of predictions; each call raises TemporaryError or PermanentError, nothing else."""

    def predictions(self, experiment: str, run_key: str) -> tuple[Receipt | None, Failure | None]:
        """What the run of this key said of its predictions, and of its last failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Predictions that are there.

    Attributes:
        existed: They were there already; nothing was started.
        adopted: The run was there already; nothing was started.
    """

    receipt: Receipt
    existed: bool = False
    adopted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How somebody hears of a run.

    Attributes:
        on_submitted: Called once, when the run is on its way.
        on_look: Called after each look at it.
    """

    on_submitted: Callable[[str, Submission], None]
    on_look: Callable[[Observation], None]


class Predicting:
    """Brings one job to its end.

    Args:
        job: What is predicted.
        out: URI of the file of predictions.
        orchestrator: Where it is done.
        receipts: What runs said.
        checksum_of: The checksum of what is at a URI now, None when nothing is.
        pause: Sleeps for so many seconds, or until there is a reason to look.
    """

    def __init__(
        self,
        job: PredictionJob,
        out: str,
        *,
        orchestrator: Orchestrator,
        receipts: Receipts,
        checksum_of: Callable[[str], str | None],
        pause: Callable[[float], None],
    ) -> None:
        self._job, self._out, self._key = job, out, job.key(out)
        self._orchestrator = orchestrator
        self._receipts = receipts
        self._checksum_of = checksum_of
        self._pause = pause

    def bring_about(self, parameters: Mapping[str, Any], timeout_s: float, progress: Progress) -> Result:
        """Have the predictions made, unless they are there, and wait for them.

        Args:
            parameters: Of pipeline `inference`, besides those that name the run.
            timeout_s: The run is ended as failed after so long.
            progress: Hears of it.

        Raises:
            PermanentError: They cannot be had; the sentence says why.
            TemporaryError: Something cannot be reached; the same call again goes on.
        """
        receipt, failure = self._asked()
        if receipt is not None and self._checksum_of(receipt.uri) == receipt.checksum:
            return Result(receipt=receipt, existed=True)
        attempt = self._attempt(failure)
        name = self._job.run_name(self._out, attempt)
        submission = self._orchestrator.submit(self._request(name, attempt, parameters, timeout_s))
        progress.on_submitted(name, submission)
        with self._cancelled_with_us(name, ours=not submission.is_adopted):
            seen = self._wait(name, progress)
        return Result(receipt=self._settled(seen), adopted=submission.is_adopted)

    def _attempt(self, failure: Failure | None) -> int:
        """The number of the attempt that is to be begun or followed."""
        for attempt in count(1):
            name = self._job.run_name(self._out, attempt)
            match next_move(attempt, self._orchestrator.observe([name])[name], failure):
                case Move.BEGIN | Move.FOLLOW:
                    return attempt
                case Move.GIVE_UP:
                    raise PermanentError(_refused(failure))
                case Move.TRY_NEXT:
                    continue
        raise AssertionError  # the numbers do not end

    def _request(self, name: str, attempt: int, parameters: Mapping[str, Any], timeout_s: float) -> RunRequest:
        job = self._job
        dataset = {name: getattr(job.dataset, name) for name in ("uri", "generation", "checksum", "period")}
        own = {
            "model": job.model,
            "run_key": self._key,
            "run_name": name,
            "attempt": attempt,
            "drops": [dataset],
            "data": dict(job.data),
            "version": job.version,
            "out": self._out,
            "experiment": experiment_of(job.model),
        }
        return RunRequest(name=name, pipeline="inference", parameters={**parameters, **own}, timeout_s=timeout_s)

    @contextmanager
    def _cancelled_with_us(self, name: str, *, ours: bool) -> Iterator[None]:
        """Ctrl-C ends what this call has begun; what another call has begun goes on."""
        try:
            yield
        except KeyboardInterrupt:
            if ours:
                self._orchestrator.cancel(name)
            msg = f"run {name} was cancelled" if ours else f"run {name} goes on: it was begun by somebody else"
            raise PermanentError(msg) from None

    def _wait(self, name: str, progress: Progress) -> Observation:
        """Look until it has ended; a look that fails proves nothing and is repeated."""
        for looks in count():
            try:
                seen = self._orchestrator.observe([name])[name]
            except TemporaryError as exc:
                seen = Observation(name=name, phase=Phase.UNKNOWN, reason=str(exc))
            progress.on_look(seen)
            if seen.phase not in _OPEN:
                return seen
            self._pause(self._orchestrator.pause_s(looks))
        raise AssertionError  # the looks do not end

    def _settled(self, seen: Observation) -> Receipt:
        if seen.phase is Phase.CANCELED:
            msg = f"run {seen.name} was cancelled; the same command begins another one"
            raise PermanentError(msg)
        if seen.phase is Phase.VANISHED:
            msg = f"run {seen.name} was killed, nobody knows by whom; the same command begins it again"
            raise PermanentError(msg)
        receipt, failure = self._asked()
        if seen.phase is Phase.FAILED:
            raise PermanentError(_failed(seen, failure))
        if receipt is None:
            msg = f"run {seen.name} has ended well, but left no receipt on MLflow; the same command begins another one"
            raise PermanentError(msg)
        return receipt

    def _asked(self) -> tuple[Receipt | None, Failure | None]:
        return self._receipts.predictions(experiment_of(self._job.model), self._key)


def _refused(failure: Failure | None) -> str:
    return f"the data cannot be predicted: {failure.reason if failure else 'it was refused'}"


def _failed(seen: Observation, failure: Failure | None) -> str:
    if failure is not None and failure.kind == "bad_drop":
        return _refused(failure)
    reason = failure.reason if failure is not None else seen.reason or "nobody said why"
    return f"run {seen.name} failed: {reason}; the same command tries again"
