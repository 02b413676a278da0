"""What the ledger knows of a model's champion, for whoever holds the registry against it."""

from contextlib import closing

from trainer_daemon.adapters.ledger.history import open_history
from trainer_daemon.policy.alias_moves import AliasPast


def alias_past(ledger: str, model: str) -> AliasPast:
    """Who is champion, and the moves that the daemon did not make; nothing before it ran for the first time.

    Args:
        ledger: URL of its database.
        model: Whose champion.
    """
    history = open_history(ledger)
    if history is None:
        return AliasPast()
    with closing(history):
        reigns = history.reigns(model)
    foreign = tuple((reign.version, reign.at) for reign in reigns if reign.cause == "external")
    return AliasPast(champion=reigns[-1].version if reigns else None, foreign=foreign)
