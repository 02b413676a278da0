"""The ledger adapter: events, runs, transitions, decisions and champions in SQL."""

from trainer_daemon.adapters.ledger.store import Change, Ledger

__all__ = ["Change", "Ledger"]
