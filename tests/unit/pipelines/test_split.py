"""Which rows are held out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import split
from pipelines.split import entity_hashes, folds, held_out, sampled, unit_hashes

CELL = st.one_of(
    st.none(),
    st.integers(-(10**9), 10**9).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.text(max_size=6),
)
ROWS = st.lists(st.tuples(CELL, CELL), min_size=1, max_size=30)


def test_hashes_are_the_same_for_ever() -> None:
    """Pinned: another hash would hold out other customers, and no champion could be compared any more."""
    frame = pd.DataFrame({"id": ["c1", "7", None], "amount": [1.5, -0.0, np.nan]})
    assert entity_hashes(frame["id"]).tolist() == [5691708556949180960, 13123673138313662016, 0]
    assert unit_hashes(frame, ["id", "amount"]).tolist() == [6301526048366725195, 16161293436229821022, 0]


@given(ROWS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_order_of_rows_and_columns_does_not_matter(rows: list[tuple[str | None, str | None]], random: object) -> None:
    """A row's hash depends on its values alone."""
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype="str")
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis' Random
    shuffled = frame.iloc[order][["b", "a"]]
    assert unit_hashes(frame, ["a", "b"])[order].tolist() == unit_hashes(shuffled, ["b", "a"]).tolist()


@given(ROWS, st.floats(0.05, 0.5))
@settings(max_examples=60, deadline=None)
def test_entity_is_on_one_side_in_every_month(rows: list[tuple[str | None, str | None]], ratio: float) -> None:
    """Whatever else a month's file holds, an entity's rows are held out together."""
    frame = pd.DataFrame(rows, columns=["entity", "other"], dtype="str")
    sides = pd.Series(held_out(entity_hashes(frame["entity"]), ratio)).groupby(frame["entity"].fillna("missing")).nunique()
    alone = {entity: held_out(entity_hashes(pd.Series([entity], dtype="str")), ratio)[0] for entity in frame["entity"].dropna()}
    assert (sides == 1).all()
    assert all(
        held == alone[entity]
        for entity, held in zip(frame["entity"], held_out(entity_hashes(frame["entity"]), ratio), strict=True)
        if entity in alone
    )


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([5, 120, -3]),
        pd.Series([5.0, 120.0, -3.0]),
        pd.Series(["5", "120", "-3"]),
        pd.Series(["5.0", "1.2e2", "-3.00"]),
        pd.Series(["5", "120", "-3"], dtype=object),
        pd.Series([5, 120, -3], dtype="Int64"),
    ],
)
def test_a_number_hashes_alike_however_it_was_read(values: pd.Series) -> None:
    """5, 5.0 and "5" are the same customer."""
    assert entity_hashes(values).tolist() == entity_hashes(pd.Series([5, 120, -3])).tolist()


def test_a_number_among_texts_hashes_like_the_number() -> None:
    """A month in which one id has a letter does not move the other customers."""
    assert entity_hashes(pd.Series(["5", "x9"]))[0] == entity_hashes(pd.Series([5]))[0]


def test_minus_zero_is_zero() -> None:
    """The two zeros of floating point are one value."""
    assert len(set(entity_hashes(pd.Series([0.0, -0.0])))) == 1


def test_missing_cell_is_like_a_missing_column() -> None:
    """An empty column that is left out next month does not move rows."""
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, np.nan]})
    assert unit_hashes(frame, ["a", "b"]).tolist() == unit_hashes(frame, ["a"]).tolist()


def test_swapped_values_are_another_row() -> None:
    """The column that a value stands in matters."""
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    assert len(set(unit_hashes(frame, ["a", "b"]))) == 2


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.5])
def test_share_of_held_out_entities_is_the_ratio(ratio: float) -> None:
    """The hash is uniform, for numbers that follow one another as for texts."""
    for entities in (pd.Series(range(20_000)), pd.Series([f"customer-{number}" for number in range(20_000)])):
        assert held_out(entity_hashes(entities), ratio).mean() == pytest.approx(ratio, abs=0.01)


def test_folds_are_even_and_independent_of_what_is_held_out() -> None:
    """Training rows, whose hashes are all high, still fall evenly into folds; equal units share one."""
    hashes = entity_hashes(pd.Series(range(20_000)))
    training = hashes[~held_out(hashes, 0.2)]
    shares = np.bincount(folds(training, 5)) / len(training)
    assert shares == pytest.approx(np.full(5, 0.2), abs=0.015)
    pairs = folds(np.repeat(training[:50], 2), 5)
    assert pairs[::2].tolist() == pairs[1::2].tolist()


def test_recurring_texts_hash_like_the_texts_they_are() -> None:
    """Whether texts are kept once or in every row holds out the same rows; a missing one, too."""
    texts = pd.Series(["a", "7", None, "a", "7.0", "b"] * 3, dtype="str")
    assert unit_hashes(texts.astype("category").to_frame("x"), ["x"]).tolist() == unit_hashes(texts.to_frame("x"), ["x"]).tolist()


def test_hashing_in_slices_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices bound the memory, nothing else."""
    frame = pd.DataFrame({"x": [f"c{number}" for number in range(50)], "y": np.arange(50.0)})
    whole = unit_hashes(frame, ["x", "y"])
    monkeypatch.setattr(split, "_ROWS_AT_A_TIME", 7)
    assert unit_hashes(frame, ["x", "y"]).tolist() == whole.tolist()


def test_sample_keeps_units_together_and_follows_its_seed() -> None:
    """About the share of the units is in it, all rows of one or none, others with another seed."""
    hashes = np.repeat(entity_hashes(pd.Series(np.arange(5000.0))), 2)
    first, second = (sampled(hashes, 0.2, seed) for seed in (0, 1))
    assert (first[::2] == first[1::2]).all()
    assert first.mean() == pytest.approx(0.2, abs=0.03)
    assert (first & second).mean() == pytest.approx(0.04, abs=0.02)
    assert held_out(hashes, 0.2)[first].mean() == pytest.approx(0.2, abs=0.05)
