"""Cells of drops to typed, split rows, or to one sentence about why they can never be trained."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.champion import HeldOut, score_champion
from pipelines.cleaning import row_hashes
from pipelines.errors import BadDrop
from pipelines.schema import Kind, Schema, parse_schema, units_differ
from tests.unit.pipelines.builders import HEADER, a_csv, a_schema, prepared

FEATURES = {"Tenure": Kind.NUMERIC, "Charges": Kind.NUMERIC, "Contract": Kind.TEXT}


def with_labels(*labels: str, rows: int = 200) -> bytes:
    """A drop whose labels are these, again and again."""
    return a_csv(rows, edits={number: f"{number % 60},1.5,A,{labels[number % len(labels)]}" for number in range(1, rows + 1)})


def reason(*contents: bytes, champion: Any = None, **settings: Any) -> str:  # noqa: ANN401 - any setting
    """The sentence that the drops are refused with."""
    with pytest.raises(BadDrop) as refused:
        prepared(*contents, champion=champion, **settings)
    return refused.value.reason


def test_columns_have_kinds_and_the_target_is_0_or_1() -> None:
    """Numbers are float64, texts that recur are kept once, labels are small integers."""
    result = prepared(a_csv())
    assert result.schema.columns == FEATURES
    assert result.schema.features == ("Tenure", "Charges", "Contract")
    assert {name: str(kind) for name, kind in result.training.dtypes.items()} == {
        "Tenure": "float64",
        "Charges": "float64",
        "Contract": "category",
        "Churn": "int8",
    }
    assert set(result.holdout["Churn"]) == {0, 1}


@pytest.mark.parametrize(
    ("positive", "negative"),
    [("1", "0"), ("1.0", "0.0"), ("Yes", "No"), ("yes", "NO"), ("True", "False"), ("True.", "False."), ("TRUE", "false")],
)
def test_usual_labels_become_1_and_0(positive: str, negative: str) -> None:
    """The spellings of real files are known."""
    result = prepared(with_labels(positive, negative, negative))
    assert result.training["Churn"].mean() == pytest.approx(1 / 3, abs=0.03)


def test_other_labels_need_the_positive_one_to_be_named() -> None:
    """`positive_label` says which label is churn, in any case."""
    result = prepared(with_labels("left", "stayed", "stayed"), positive_label="LEFT")
    assert result.training["Churn"].mean() == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize(
    "header", ["Tenure,Charges,Contract,CHURN", "Tenure,Charges,Contract, churn ", "Tenure,Charges,Contract,Ch urn"]
)
def test_target_is_found_whatever_its_case(header: str) -> None:
    """Case and spaces of the target's name do not matter."""
    assert prepared(a_csv(header=header)).schema.target == header.rpartition(",")[2].strip()


def test_target_is_found_whatever_its_place() -> None:
    """The target may be any column."""
    lines = ["Churn,Tenure", *(f"{number % 3 // 2},{number % 50}" for number in range(200))]
    assert prepared("\n".join(lines).encode()).schema.features == ("Tenure",)


def test_numbers_written_with_blanks_are_numbers() -> None:
    """A blank cell does not make a column of numbers a column of texts."""
    result = prepared(a_csv(edits={7: "3, ,A,1", 9: "4,NA,B,0"}))
    assert result.schema.columns["Charges"] is Kind.NUMERIC
    assert result.training["Charges"].isna().sum() + result.holdout["Charges"].isna().sum() == 2


def test_few_rows_without_label_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Up to 5 % of the labels may be missing; the rows are left out, and that is said."""
    result = prepared(a_csv(edits=dict.fromkeys(range(11, 20), "1,2,A,")))
    assert len(result.training) + len(result.holdout) == 191
    assert "9 of 200 rows of 2025-01 are left out: 'Churn' is missing, first in row 11" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "settings", "sentence"),
    [
        (
            a_csv(header="Tenure,Charges,Contract,Gone"),
            {},
            "no target column 'Churn': the columns are 'Tenure', 'Charges', 'Contract', 'Gone'",
        ),
        (a_csv(header="Tenure,Charges,churn,CHURN"), {}, "columns 'churn', 'CHURN' could all be 'Churn'"),
        (with_labels("0"), {}, "every row has the same label in column 'Churn' (0)"),
        (with_labels("Yes"), {}, "every row has the same label in column 'Churn' (1)"),
        (with_labels(""), {}, "column 'Churn' is empty in all 200 rows"),
        (with_labels("0", "1", "2"), {}, "column 'Churn', row 2: label '2' is not 0/1, yes/no or true/false"),
        (a_csv(edits={50: "1,2,A,maybe"}), {}, "column 'Churn', row 50: label 'maybe'"),
        (with_labels("a", "b", "c"), {"positive_label": "a"}, "besides positive_label 'a' only one other is possible"),
        (
            with_labels("1", "0", "", "0", ""),
            {},
            "column 'Churn' is missing in 40.0% of the rows, first in row 2; at most 5% may be",
        ),
        (a_csv(edits={9: "inf,2,A,1"}), {}, "column 'Tenure', row 9: 'inf' is not a finite number"),
        (a_csv(edits={9: "1,1e999,A,1"}), {}, "column 'Charges', row 9: '1e999' is not a finite number"),
        (
            a_csv(edits={9: "500,2,A,1"}),
            {"ranges": {"tenure": (0, 120)}},
            "column 'Tenure', row 9: 500 is outside the allowed 0 to 120",
        ),
        (a_csv(), {"ranges": {"Age": (0, 120)}}, "no range-checked column 'Age'"),
        (a_csv(edits={9: "1,2,A,1", 10: "x,2,A,1"}), {"ranges": {"Tenure": (0, 120)}}, "row 10 has 'x'"),
        (a_csv(), {"entity_column": "customer"}, "no entity column 'customer'"),
        (
            a_csv(edits=dict.fromkeys(range(20, 40), ",2,A,1")),
            {"entity_column": "Tenure"},
            "column 'Tenure' is missing in 10.0%",
        ),
        (a_csv(10), {}, "too few rows"),
        (
            a_csv(200, edits={number: f"{number},{number}.5,A,0" for number in range(2, 201)} | {1: "1,1,A,1"}),
            {},
            "have the same label (0)",
        ),
        (a_csv().rstrip(b"\n") + b"\n5,6,A,", {}, "ends in the middle of row 201: it has no 'Churn'"),
        ("\n".join(["Churn", *("01" * 100)]).encode(), {}, "no column can be learned from"),
        (
            "\n".join(["id,Churn", *(f"c{number},{number % 2}" for number in range(200))]).encode(),
            {},
            "'id' every value is different",
        ),
    ],
)
def test_untrainable_drops_are_refused_with_one_sentence(content: bytes, settings: dict[str, Any], sentence: str) -> None:
    """Column, row and value are named."""
    assert sentence in reason(content, **settings)


def test_identifiers_and_columns_without_information_are_no_features() -> None:
    """What is dropped is reported with the reason; continuous numbers that are all different stay."""
    lines = ["id,number,code,empty,same,few,real,Churn"]
    lines += [f"u{n:04},{n},{n * 7},,k,{n % 9},{n}.25,{n % 2}" for n in range(300)]
    schema = prepared("\n".join(lines).encode(), id_columns=("CODE", "absent")).schema
    assert schema.dropped == {
        "id": "every value is different, as in an id",
        "number": "every value is different, as in an id",
        "code": "configured as an id",
        "empty": "has no values",
        "same": "has the same value in every row",
    }
    assert schema.features == ("few", "real")


def test_few_different_integers_are_no_identifier() -> None:
    """Below a hundred rows, integers may all differ by chance."""
    lines = ["salary,Churn", *(f"{number * 13},{number % 2}" for number in range(90))]
    assert prepared("\n".join(lines).encode()).schema.features == ("salary",)


def changed(header: str, charges: str = "{}.5") -> bytes:
    """A drop with other columns, or with other cells in the second one."""
    cells = [f"{number % 60},{charges.format(20 + number % 83)},{'ABC'[number % 3]}" for number in range(200)]
    extra = ",9" * (header.count(",") - 3)
    return "\n".join([header, *(f"{cell}{extra},{number % 3 // 2}" for number, cell in enumerate(cells))]).encode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (changed("Tenure,Charges,Contract,Age,Churn"), "'Age' new"),
        (changed("Tenure,Fees,Contract,Churn"), "'Charges' missing; 'Fees' new"),
        (changed("tenure,Charges,Contract,Churn"), "'Tenure' missing; 'tenure' new"),
        (changed(HEADER, "high{}"), "column 'Charges' holds numbers for the champion, but row 1 has 'high20'"),
    ],
)
def test_columns_that_differ_from_the_champions_are_refused_unless_allowed(content: bytes, sentence: str) -> None:
    """A changed schema is a person's decision, never a surprise."""
    champion = a_schema(**FEATURES)
    assert sentence in reason(content, champion=champion)
    assert prepared(content, champion=champion, allow_schema_change=True).schema.features


def test_digits_in_a_column_of_texts_stay_texts() -> None:
    """A month in which all codes happen to be digits has the champion's kind, not a new one."""
    content = a_csv(edits={number: f"{number % 60},1.5,{number % 3},{number % 2}" for number in range(1, 201)})
    assert prepared(content).schema.columns["Contract"] is Kind.NUMERIC
    assert prepared(content, champion=a_schema(**FEATURES)).schema.columns["Contract"] is Kind.TEXT


def test_schema_survives_json() -> None:
    """What a version remembers is what was known."""
    schema = prepared(a_csv(), id_columns=("Contract",)).schema
    assert parse_schema(json.loads(schema.to_json())) == schema


def test_window_trains_on_all_months_and_holds_out_of_the_newest_only() -> None:
    """Held-out rows come from the newest month."""
    first, second = a_csv(300), a_csv(200, edits={number: f"{number % 60},99,Z,{number % 2}" for number in range(1, 201)})
    result = prepared(first, second)
    assert set(result.holdout["Contract"]) == {"Z"}
    assert {"A", "B", "C", "Z"} == set(result.training["Contract"])


def test_held_out_customer_is_trained_on_in_no_month() -> None:
    """A customer who recurs in every month is on one side in all of them."""

    def month(shift: int) -> bytes:
        lines = ["customer,Tenure,Churn", *(f"c{number},{(number + shift) % 70},{number % 2}" for number in range(500))]
        return "\n".join(lines).encode()

    result = prepared(month(1), month(2), month(3), entity_column="customer")
    assert set(result.holdout["customer"]).isdisjoint(result.training["customer"])
    assert set(result.holdout["customer"]) | set(result.training["customer"]) == {f"c{number}" for number in range(500)}
    assert len(result.training) == 3 * result.training["customer"].nunique()


@pytest.mark.parametrize(("before", "after"), [(0.2, 0.5), (0.5, 0.2)])
def test_champion_with_another_holdout_is_judged_by_customers_it_has_not_seen(before: float, after: float) -> None:
    """Whether more or fewer are held out than when it was trained; nor has the candidate seen them."""
    lines = ["customer,Tenure,Churn", *(f"c{number},{number % 70},{number % 2}" for number in range(500))]
    month = "\n".join(lines).encode()
    champion = prepared(month, entity_column="customer", holdout_ratio=before)
    result = prepared(month, entity_column="customer", holdout_ratio=after, champion=champion.schema)
    judged_by = set(result.holdout["customer"])
    assert len(judged_by) == pytest.approx(0.2 * 500, rel=0.3)
    assert judged_by.isdisjoint(champion.training["customer"])
    assert judged_by.isdisjoint(result.training["customer"])
    assert result.training["customer"].nunique() == pytest.approx((1 - after) * 500, rel=0.2)


def by(entity: str, *columns: str) -> Schema:
    """A schema whose rows are held out by one of its columns."""
    return replace(a_schema(**dict.fromkeys(columns, Kind.TEXT)), entity_column=entity)


@pytest.mark.parametrize(
    ("champion", "own"),
    [
        (by("customer", "customer", "household"), by("household", "customer", "household")),
        (by("customer", "customer", "plan"), by("", "customer", "plan")),
        (by("", "customer", "plan"), by("customer", "customer", "plan")),
    ],
    ids=["another column", "no column any more", "a column since then"],
)
def test_champion_that_was_held_out_by_something_else_is_not_scored(champion: Schema, own: Schema) -> None:
    """Eight in ten of the rows would be known to it, and the evidence would be about what it remembers."""
    held_out = HeldOut(rows=pd.DataFrame(), labels=np.empty(0), schema=own)
    assert "set entity_column back" in score_champion("churn", "1", held_out=held_out, schema=champion).error


def test_column_of_customers_that_was_renamed_holds_the_same_customers() -> None:
    """Its name is no part of the split."""
    champion = by("customer", "customer", "plan")
    assert not units_differ(champion, by("Customer", "Customer", "plan"))
    assert not units_differ(champion, by("subscriber", "subscriber", "plan"))
    assert not units_differ(by("", "plan"), by("", "plan"))


def test_entity_is_no_feature() -> None:
    """A customer who recurs within a month is not learned by heart, although the ids are not all different."""
    lines = ["customer,Tenure,Churn", *(f"{number % 120},{number % 70},{number % 3 // 2}" for number in range(600))]
    schema = prepared("\n".join(lines).encode(), entity_column="Customer").schema
    assert schema.features == ("Tenure",)
    assert schema.dropped == {"customer": "identifies the entity"}


def test_older_month_of_a_window_with_other_columns_is_refused_unless_allowed() -> None:
    """Months that are trained together need the same columns."""
    other = a_csv(header="Tenure,Fees,Contract,Churn")
    assert "differ from those of 2025-01, which it is trained together with, in 'Charges', 'Fees'" in reason(other, a_csv())
    allowed = prepared(other, a_csv(), allow_schema_change=True)
    assert allowed.schema.features == ("Tenure", "Charges", "Contract")
    assert allowed.training["Charges"].isna().sum() > 100


@pytest.mark.parametrize("bad", [a_csv(header="Tenure,Charges,Contract,Left"), with_labels("1"), a_csv(edits={9: "inf,1.5,A,0"})])
def test_month_of_a_window_that_is_bad_by_itself_is_named(bad: bytes) -> None:
    """The newest month is not to blame for it."""
    with pytest.raises(BadDrop) as refused:
        prepared(bad, a_csv())
    assert "2025-01" in refused.value.drop
    with pytest.raises(BadDrop) as refused:
        prepared(a_csv(), bad)
    assert "2025-02" in refused.value.drop


def test_window_spells_target_and_entity_as_the_newest_month_does() -> None:
    """A target that changed its case is still the target."""
    result = prepared(a_csv(header=HEADER.upper().replace("TENURE,CHARGES,CONTRACT", "Tenure,Charges,Contract")), a_csv())
    assert len(result.training) > 250
    assert result.training["Churn"].isin([0, 1]).all()


def test_split_survives_storage() -> None:
    """Rows hash alike after they were written and read again, so that folds keep units together."""
    result = prepared(a_csv(edits={3: ",2,A,1", 4: "4,,,1"}))
    again = result.training.copy()
    again["Contract"] = again["Contract"].astype(object)
    assert np.array_equal(row_hashes(result.training, result.schema), row_hashes(again, result.schema))
