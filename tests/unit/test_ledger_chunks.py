"""How many keys a statement of the ledger names."""

from trainer_daemon.adapters.ledger.database import KEYS_PER_QUERY, chunks


def test_growing_lists_need_few_different_statements() -> None:
    """Drivers keep prepared statements: one for every length would let a daemon grow with its bucket."""
    lengths = {len(some) for count in range(1, 3 * KEYS_PER_QUERY) for some in chunks([str(key) for key in range(count)])}
    assert len(lengths) <= 10


def test_every_key_is_named_and_no_other() -> None:
    """A repeated key changes nothing in a list that is looked up in."""
    for count in (0, 1, 5, KEYS_PER_QUERY, KEYS_PER_QUERY + 3):
        keys = [str(key) for key in range(count)]
        assert {key for some in chunks(keys) for key in some} == set(keys)
