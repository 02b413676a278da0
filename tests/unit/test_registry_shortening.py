import json

from hypothesis import given
from hypothesis import strategies as st

from trainer_daemon.adapters.registry.shortening import shortened

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


def test_text_that_fits_stays_as_it_is() -> None:
    """To the last character."""
    assert shortened("x" * 100, 100) == "x" * 100


def test_plain_text_is_cut_and_marked() -> None:
    """Whoever reads it sees that there was more."""
    assert shortened("x" * 101, 100) == "x" * 99 + "…"


def test_sentences_are_cut_before_structure_is_lost() -> None:
    """Every rule is still there, with the beginning of its sentence."""
    rules = [{"rule": f"r{number}", "sentence": "word " * 100} for number in range(10)]
    document = json.loads(shortened(json.dumps({"verdict": "reject", "rules": rules}), 2000))
    assert [rule["rule"] for rule in document["rules"]] == [f"r{number}" for number in range(10)]
    assert document["verdict"] == "reject"
    assert document["shortened"] is True


def test_structure_that_is_too_large_is_quoted_from_its_beginning() -> None:
    """It is still JSON."""
    document = json.loads(shortened(json.dumps({"n": list(range(5000))}), 200))
    assert document["shortened"].startswith('{"n": [0, 1, 2')


@given(document=st.dictionaries(st.text(max_size=20), values, max_size=4), limit=st.integers(100, 500))
def test_json_stays_json_and_fits(document: dict[str, object], limit: int) -> None:
    """Whatever it contains."""
    text = json.dumps(document)
    short = shortened(text, limit)
    assert len(short) <= limit
    assert isinstance(json.loads(short), dict)
    assert (short == text) == (len(text) <= limit)


@given(text=st.text(), limit=st.integers(100, 200))
def test_every_text_fits(text: str, limit: int) -> None:
    """Whether it is JSON or only looks like it."""
    assert len(shortened(text * 5, limit)) <= limit
