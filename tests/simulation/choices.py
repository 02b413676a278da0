"""What can happen next in a simulated history: values that are recorded, replayed, removed one by one, and told in words."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Every step of a history; the value is how the trace tells it."""

    LISTEN = "daemon {replica} receives messages"
    LIST = "daemon {replica} lists the bucket"
    RECONCILE = "daemon {replica} reconciles one step"
    LOOK = "daemon {replica} is due to look at the champion"
    FIRE = "daemon {replica} hears the schedule fire, occasion {which}"
    KEEP = "daemon {replica} minds its lease"
    CRASH = "daemon {replica} is killed"
    UPLOAD = "month {month} is uploaded with content {content}, {notified}"
    RUN_PROGRESSES = "run {which} on the orchestrator does its next stage"
    RUN_FAILS = "run {which} on the orchestrator fails"
    RUN_LEAVES_NOTHING = "run {which} on the orchestrator succeeds and leaves nothing"
    RUN_VANISHES = "run {which} is deleted from the orchestrator"
    ALIAS_MOVED = "somebody points alias champion to version {which}"
    CHAMPION_DELETED = "somebody deletes the champion"
    OPERATOR_TRIGGERS = "an operator asks for month {month}, {forced}"
    OPERATOR_CANCELS = "an operator cancels live run {which}"
    OPERATOR_PROMOTES = "an operator promotes version {which} by force"
    OPERATOR_ROLLS_BACK = "an operator rolls the champion back"
    MESSAGE_DELIVERED = "message {which} of those that wait is delivered"
    MESSAGES_EXPIRE = "the leases of all messages that nobody acknowledged expire"
    ACKED_REDELIVERED = "message {which} of those that were acknowledged comes again"
    STREAM_ENDS = "the stream of daemon {replica} ends"
    STREAM_DIES = "the stream of daemon {replica} goes silent and does not say so"
    CLOCK_JUMPS = "the wall clock of daemon {replica} jumps by {jump}"
    LEDGER_CLOCK_JUMPS = "the clock of the ledger's database jumps by {jump}"
    TIME_PASSES = "{passes} pass"
    LINK_BREAKS = "the link {link} {replica} breaks"
    LINK_HEALS = "the link {link} {replica} heals"
    LATE_EFFECT = "late request {which} takes effect"
    LEDGER_LOST = "the ledger is lost and everybody starts again"


class Trouble(StrEnum):
    """What can go wrong with one call; the value is how the trace tells it."""

    CRASH_BEFORE = "the daemon is killed before it"
    CRASH_AFTER = "the daemon is killed after it"
    UNAVAILABLE = "it fails"
    REPLY_LOST = "it takes effect, but its reply is lost"
    LATE = "it fails, and takes effect later"
    DUPLICATED = "it takes effect twice, the second time later"
    MEANWHILE_BEFORE = "before it"
    MEANWHILE_AFTER = "after it"
    PAUSED = "the daemon is stopped before it, and goes on after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong within a step of a daemon.

    Attributes:
        at: The number of the step's call to another part that is concerned, from 0.
        among_changes: Only calls that change something count, not those that ask.
        meanwhile: What others do at that moment.
    """

    at: int
    trouble: Trouble
    among_changes: bool = True
    meanwhile: tuple["Choice", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One step of a history.

    Attributes:
        replica: Whose step.
        month: Index of a month.
        content: Stands for the bytes of an upload.
        which: One of several, modulo how many there are when the step is taken.
        faults: What goes wrong within it.
    """

    kind: Kind
    replica: int = 0
    month: int = 0
    content: int = 0
    which: int = 0
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a history is about; drawn once, at its beginning.

    Attributes:
        replicas: Daemons that share the ledger; more than one only where a lease keeps them apart.
    """

    window_months: int = 1
    backlog: str = "every"
    attempts_max: int = 3
    start_from: str = "all"
    replicas: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole history; the same plan always takes the same course."""

    setting: Setting
    choices: tuple[Choice, ...]


LINKS = (
    "daemon-ledger",
    "daemon-orchestrator",
    "daemon-registry",
    "daemon-bucket",
    "daemon-pubsub",
    "run-registry",
    "run-bucket",
)
JUMPS_S = (86_400, -3_600, 600, -30)
PASSES_S = (15, 120, 4_000)
"""The first is longer than a lease lasts."""
MONTHS = ("2025-01", "2025-02", "2025-03", "2025-04")
NOTIFIED = ("notified once", "its notification is lost", "notified twice")


def words(choice: Choice) -> str:
    """A choice as one line, what goes wrong in it behind."""
    told = choice.kind.value.format(
        replica=choice.replica,
        month=MONTHS[choice.month % len(MONTHS)],
        content=choice.content,
        which=choice.which,
        notified=NOTIFIED[choice.which % len(NOTIFIED)],
        forced="forced" if choice.which % 2 else "not forced",
        jump=f"{JUMPS_S[choice.which % len(JUMPS_S)]} s",
        passes=f"{PASSES_S[choice.which % len(PASSES_S)]} s",
        link=LINKS[choice.which % len(LINKS)],
    )
    return "; ".join([told, *(_fault_words(fault) for fault in choice.faults)])


def _fault_words(fault: Fault) -> str:
    told = f"at its {fault.at + 1}. {'change' if fault.among_changes else 'call'}: {fault.trouble}"
    return f"{told}: ({', then '.join(words(choice) for choice in fault.meanwhile)})" if fault.meanwhile else told
