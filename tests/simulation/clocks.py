"""The clocks of a simulated world: true time, the wall clock of each daemon, the clock of the ledger's database."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)
_NOTHING = timedelta()
_SECOND = timedelta(seconds=1)


@dataclass
class Clocks:
    """All of them.

    Attributes:
        now: True time; the services go by it.
        ahead: How far the wall clock of each daemon is ahead of it.
        ledger_ahead: The same of the clock of the ledger's database.
    """

    now: datetime = BEGINNING
    ahead: dict[int, timedelta] = field(default_factory=dict)
    ledger_ahead: timedelta = _NOTHING

    def wall(self, number: int = 0) -> datetime:
        """A daemon's wall clock."""
        return self.now + self.ahead.get(number, _NOTHING)

    def ledger_seconds(self) -> float:
        """The clock of the ledger's database."""
        return (self.now + self.ledger_ahead).timestamp()

    def pass_time(self, seconds: int) -> None:
        """Nothing happens for a while."""
        self.now += _SECOND * seconds

    def jump(self, number: int, seconds: int) -> None:
        """Somebody sets a daemon's wall clock."""
        self.ahead[number] = self.ahead.get(number, _NOTHING) + timedelta(seconds=seconds)

    def align(self, daemons: int) -> None:
        """All wall clocks agree again, on the latest: what one daemon put off is not put off for the others."""
        latest = max(self.ahead.get(number, _NOTHING) for number in range(daemons))
        self.ahead = dict.fromkeys(range(daemons), latest)
