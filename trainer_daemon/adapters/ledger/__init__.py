"""The ledger adapter: events, runs, transitions, decisions and champions in SQL."""

from trainer_daemon.adapters.ledger.notices import Notices
from trainer_daemon.adapters.ledger.outbox import Letter, Outbox, Waiting
from trainer_daemon.adapters.ledger.store import Change, Ledger

__all__ = ["Change", "Ledger", "Letter", "Notices", "Outbox", "Waiting"]
