"""What lies between a daemon and everything else: every call passes here, and this is where it goes wrong."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from tests.simulation.choices import Choice, Fault, Trouble
from trainer_daemon.adapters.ledger.reading import LedgerReader
from trainer_daemon.errors import TemporaryError

T = TypeVar("T")
Method = Callable[..., Any]
READS = frozenset(
    {name for name in vars(LedgerReader) if not name.startswith("_")} | {"observe", "champion", "outcome", "probe", "page"}
)
"""Calls that only ask."""
DEFERRING = frozenset({"daemon-orchestrator", "daemon-registry"})
DEFERRABLE = frozenset({"submit", "cancel", "promote", "move_champion", "record_decision"})
"""Requests to services that may be carried out although the caller has given up on them."""


class Crash(BaseException):
    """The process is gone; nothing may catch this."""


@dataclass
class _Frame:
    """A step that is being taken, and how many calls it has made."""

    faults: tuple[Fault, ...]
    calls: int = 0
    changes: int = 0

    def next_fault(self, name: str) -> Fault | None:
        """What goes wrong with the call that is about to be made."""
        place = (self.changes, self.calls)
        self.calls += 1
        is_change = name not in READS
        self.changes += is_change
        return next((fault for fault in self.faults if self._hits(fault, place, is_change=is_change)), None)

    def _hits(self, fault: Fault, place: tuple[int, int], *, is_change: bool) -> bool:
        return (is_change and fault.at == place[0]) if fault.among_changes else fault.at == place[1]


@dataclass
class Late:
    """A request that is still on its way."""

    words: str
    effect: Callable[[], object]


@dataclass
class Wire:
    """Carries the calls of the step that is being taken.

    Attributes:
        apply: Takes a step that happens in the middle of another one.
        on_call: Told of every call of a daemon that changes something, by its link and name, before anything comes of it.
        on_effect: Told of every such call that has just taken effect, before anybody hears of it.
        broken: Links on which nothing passes.
        late: Requests that somebody gave up on and that will still take effect.
        counts: How often each trouble happened.
        overtaken: The question after whose answer something else happened, while nothing but a lease has been changed since.
    """

    apply: Callable[[Choice], None]
    on_call: Callable[[str, str, tuple[object, ...], dict[str, object]], None]
    on_effect: Callable[[str, str], None]
    broken: set[str] = field(default_factory=set)
    late: list[Late] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    overtaken: str = ""
    _frame: _Frame | None = None

    def during(self, choice: Choice, step: Callable[[], None]) -> None:
        """Take a step; its calls are made within it."""
        before, self._frame = self._frame, _Frame(choice.faults)
        try:
            step()
        finally:
            self._frame = before

    @property
    def is_smooth(self) -> bool:
        """Whether nothing can go wrong with the next call."""
        return not (self.broken or (self._frame is not None and self._frame.faults))

    def call(self, link: str, name: str, effect: Callable[[], T]) -> T:
        """Make a call, if it can be made."""
        if self._frame is None:
            return effect()
        fault = self._frame.next_fault(name) if self._frame.faults else None
        if fault is None:
            return self._pass(link, effect)
        return self._suffer(fault, link, name, effect)

    def _pass(self, link: str, effect: Callable[[], T]) -> T:
        if link in self.broken:
            self.counts["calls on a broken link"] += 1
            message = f"{link} is broken"
            raise TemporaryError(message)
        return effect()

    def _suffer(self, fault: Fault, link: str, name: str, effect: Callable[[], T]) -> T:
        self.counts[fault.trouble.name.lower()] += 1
        match fault.trouble:
            case Trouble.CRASH_BEFORE:
                raise Crash
            case Trouble.CRASH_AFTER:
                self._pass(link, effect)
                raise Crash
            case Trouble.UNAVAILABLE:
                raise _lost(name)
            case Trouble.REPLY_LOST:
                self._pass(link, effect)
                raise _lost(name)
            case Trouble.LATE | Trouble.DUPLICATED:
                return self._late(fault.trouble, link, name, effect)
            case Trouble.MEANWHILE_BEFORE | Trouble.PAUSED:
                self._meanwhile(fault)
                return self._pass(link, effect)
            case Trouble.MEANWHILE_AFTER:
                value = self._pass(link, effect)
                self._meanwhile(fault)
                self.overtaken = name
                return value

    def _late(self, trouble: Trouble, link: str, name: str, effect: Callable[[], T]) -> T:
        if link.rpartition(" ")[0] not in DEFERRING or name not in DEFERRABLE:
            return self._pass(link, effect)
        if trouble is Trouble.DUPLICATED:
            value = self._pass(link, effect)
            self.late.append(Late(words=name, effect=effect))
            return value
        self._pass(link, lambda: self.late.append(Late(words=name, effect=effect)))
        raise _lost(name)

    def _meanwhile(self, fault: Fault) -> None:
        for choice in fault.meanwhile:
            self.apply(choice)


class Remote:
    """A part as a daemon sees it: the calls of the named methods pass a wire, everything else is the part itself."""

    def __init__(self, part: object, wire: Wire, link: str, methods: frozenset[str]) -> None:
        self._part, self._wire, self._link, self._methods = part, wire, link, methods

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute
        attribute = getattr(self._part, name)
        if name in self._methods:
            carried = self._asked if name in READS else self._changed
            attribute = self.__dict__[name] = carried(name, attribute)  # asked for once
        return attribute

    def _asked(self, name: str, method: Method) -> Method:
        wire, link = self._wire, self._link

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any call
            if wire.is_smooth:
                return method(*args, **kwargs)
            return wire.call(link, name, partial(method, *args, **kwargs))

        return call

    def _changed(self, name: str, method: Method) -> Method:
        wire, link = self._wire, self._link

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any call
            wire.on_call(link, name, args, kwargs)
            if name != "renew_leases":
                wire.overtaken = ""
            return wire.call(link, name, partial(effect, *args, **kwargs))

        def effect(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any call
            value = method(*args, **kwargs)
            wire.on_effect(link, name)
            return value

        return call


def _lost(name: str) -> TemporaryError:
    return TemporaryError(f"no answer to {name}")
