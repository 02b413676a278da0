"""The roles that adapters play for the daemon; each Protocol's docstring is the contract its test suite checks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from trainer_daemon.policy.events import DatasetVersion
from trainer_daemon.policy.notifications import Message
from trainer_daemon.policy.observations import Champion, Observation, Outcome
from trainer_daemon.policy.recurring import RecurringRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A drop that is complete.

    Attributes:
        signature: Equal as long as the object was not touched; lets the next listing skip reading it.
        modified_at: When the store last saw it change.
        order: Orders the versions of one object where the store does; None means by arrival.
    """

    drop: DatasetVersion
    signature: str
    modified_at: datetime
    order: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An object that is no drop; `reason` is one sentence.

    Attributes:
        is_foreign: It is not even named like one; somebody may have misspelt a name, or it belongs to somebody else.
    """

    name: str
    reason: str
    is_foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomplete:
    """A drop that somebody is still writing: look again soon."""

    name: str


Listed = Found | Ignored | Incomplete
Known = Callable[[Sequence[str]], Mapping[str, str]]
"""For some URIs, the signatures of those that are on record."""


class Bucket(Protocol):
    """Where drops arrive."""

    def list_drops(self, known: Known) -> Iterator[Sequence[Listed]]:
        """Everything in the bucket whose name is one of a drop and that is not on record as it is now, page by page.

        A page is small, and nothing is kept from one to the next: a bucket may hold more than memory does.

        Args:
            known: What is on record; asked once or a few times for each page. An object that still has the signature on
                record is left out, and its content is not read.

        Raises:
            TemporaryError: The bucket cannot be listed now.
            PermanentError: It refuses to be listed.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that was delivered, and the receipt that acknowledges this delivery of it."""

    message: Message
    receipt: str


class Subscription(Protocol):
    """One subscription, and at most one open stream of it.

    Every call has a deadline; raises TemporaryError when the service does not answer, PermanentError when it refuses.
    """

    def open(self, *, on_arrival: Callable[[], None], on_end: Callable[[], None]) -> None:
        """Open the stream.

        Args:
            on_arrival: Called, on any thread, when messages have arrived.
            on_end: Called, on any thread, when the stream has ended.
        """

    def probe(self) -> None:
        """Return while the stream is open and the service answers; otherwise raise what ended it."""

    def take(self, limit: int) -> Sequence[Delivery]:
        """Up to so many of the messages that wait, oldest first."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the service never to deliver these messages again."""

    def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Ask the service not to deliver these messages again while they cannot be recorded."""

    def close(self, give_back: Sequence[Delivery] = ()) -> None:
        """Close the stream; raises nothing.

        Args:
            give_back: What the service is to deliver again at once, to whoever comes.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Everything an orchestrator needs to execute one attempt of a run.

    Attributes:
        name: Deterministic; the same name is the same run.
        pipeline: `training`, `evaluation`, `hello` or the path of a compiled pipeline.
        parameters: Root parameters of the pipeline; those it does not declare are left out.
        timeout_s: The run is ended as failed after so long.
        circumstances: Names of the parameters that may be others when the same run is submitted again.
    """

    name: str
    pipeline: str
    parameters: Mapping[str, Any]
    timeout_s: float
    circumstances: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What came of submitting a run.

    Attributes:
        run_id: The orchestrator's own id of the run.
        is_adopted: There was a run of this name already, running or finished; nothing was started.
        link: Where a person can watch it; empty when there is no such place.
    """

    run_id: str
    is_adopted: bool = False
    link: str = ""


class Orchestrator(Protocol):
    """Executes pipelines. Every call has a deadline; raises TemporaryError or PermanentError, nothing else."""

    def submit(self, request: RunRequest) -> Submission:
        """Start the run unless one of this name exists already (running or finished)."""

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """The state of each named run, no older than `pause_s` allows; a run that does not exist is VANISHED, never absent."""

    def pause_s(self, looks: int) -> float:
        """How long to wait until an open run is looked at again.

        Args:
            looks: How often in a row nothing had changed.
        """

    def cancel(self, name: str) -> None:
        """End the run and return when it is terminal; cancelling a terminal or vanished run is no error."""

    def archive(self, name: str) -> None:
        """A superseded run need not be shown any more; what is not there, or archived already, is no error."""

    def close(self) -> None:
        """Release what the adapter holds; running pipelines go on."""


class Registry(Protocol):
    """Models and evidence. Every call has a deadline; raises TemporaryError or PermanentError, nothing else."""

    def champion(self, model: str) -> Champion | None:
        """The version that alias `champion` points to, None when there is none."""

    def outcome(self, model: str, run_key: str) -> Outcome:
        """What the run of this key has left: version, evaluation, failure."""

    def record_decision(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Write the decision on the version as tags; writing the same again is no error."""

    def describe(self, model: str, version: str, card: str) -> None:
        """Write the version's description, in place of the one it has."""

    def keep_report(self, model: str, run_key: str, page: str) -> None:
        """Keep the page beside the evidence of this run, in place of the one there; nothing happens when the run left none."""

    def promote(self, model: str, version: str, *, expected: str) -> str:
        """Point `champion` at the version and `previous-champion` at `expected`, if the champion still is `expected`.

        Args:
            model: Name of the registered model.
            version: The new champion.
            expected: The version it was decided against; empty when there was none.

        Returns:
            The champion's version afterwards: `version` when it was moved now or before, otherwise whoever is champion.

        Raises:
            RolledBackError: A person took this version back, and it is not champion.
        """

    def move_champion(self, model: str, version: str, *, expected: str) -> str:
        """As `promote`, for a person: also to a version that was rolled back."""

    def close(self) -> None:
        """Release what the adapter holds."""


class Schedules(Protocol):
    """What a backend starts by itself, again and again; `import-schedule` replaces it with the daemon's own schedule."""

    def recurring_runs(self) -> Sequence[RecurringRun]:
        """All of them, enabled or not."""

    def disable_recurring_run(self, recurring_run_id: str) -> None:
        """Let one start nothing any more."""

    def close(self) -> None:
        """Close the connections."""
