"""What goes wrong on purpose: refusals, slowness, lost replies, for some requests or some time."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase


class Kind(Enum):
    """How a request goes wrong."""

    REFUSE = "refuse"  # it is answered with a status
    DELAY = "delay"  # it is done, late
    LOSE_REPLY = "lose_reply"  # it is done, then the connection is cut
    CUT = "cut"  # the connection is cut before anything is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a request.

    Attributes:
        status: Of the refusal.
        headers: Of the refusal, such as `Retry-After`.
        delay_s: How late.
    """

    kind: Kind
    status: int = 0
    headers: Mapping[str, str]
    delay_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Rule:
    route: str
    fault: Fault
    times: float
    until: float


class Faults:
    """Decides for each request whether it goes wrong.

    Args:
        now: The clock.

    Attributes:
        ended: Is set when everything is made well, and then is another one.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rules: list[_Rule] = []
        self.ended = asyncio.Event()

    def add(self, route: str, fault: Fault, *, times: float = math.inf, seconds: float = math.inf) -> None:
        """Let requests go wrong; of several faults that fit a request, the first one that was added counts.

        Args:
            route: Method and path below the API's, such as `GET /runs` or `POST /runs/*:terminate`; `*` is any text.
            fault: What happens.
            times: To how many requests.
            seconds: For how long.
        """
        self._rules.append(_Rule(route=route, fault=fault, times=times, until=self._now() + seconds))

    def end(self) -> None:
        """From now on all goes well; what was delayed until now is done."""
        self._rules.clear()
        self.ended.set()
        self.ended = asyncio.Event()

    def take(self, method: str, path: str) -> Fault | None:
        """What happens to this request; it counts."""
        self._rules = [rule for rule in self._rules if rule.times > 0 and self._now() < rule.until]
        for rule in self._rules:
            if fnmatchcase(f"{method} {path}", rule.route):
                rule.times -= 1
                return rule.fault
        return None
