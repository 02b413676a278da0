"""The pipelines' root parameters, as KFP carries them."""

import json
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2

from pipelines.errors import BadDrop, BadSettings, DropChanged, blaming
from pipelines.parameters import Drop, parse_data, parse_drops, parse_training
from pipelines.registration import drops_tag
from pipelines.schema import Kind, parse_schema
from pipelines.tracking import failure_document
from tests.unit.pipelines.builders import a_schema


def through_kfp(value: dict[str, Any]) -> dict[str, Any]:
    """The value as a step gets it: a protobuf Struct knows floats only."""
    carried: dict[str, Any] = json_format.MessageToDict(json_format.ParseDict(value, struct_pb2.Struct()))
    return carried


def test_integers_come_back_from_kfp() -> None:
    """A bound in bytes and a depth are integers again, at any depth; fractions stay."""
    data = parse_data(
        through_kfp({"max_bytes": 1 << 30, "holdout_ratio": 0.25, "ranges": {"Age": [0, 120.5]}, "id_columns": ["a"]})
    )
    assert (repr(data.max_bytes), data.holdout_ratio, data.ranges, data.id_columns) == (
        "1073741824",
        0.25,
        {"Age": (0.0, 120.5)},
        ("a",),
    )
    training = parse_training(
        through_kfp({"estimator": "random_forest", "seed": 5, "hyperparameters": {"max_depth": 3, "max_features": 1.0}})
    )
    assert repr(training.seed) == "5"
    sliced = parse_training(through_kfp({"slice_columns": ["Region"], "min_slice_rows": 40}))
    assert (sliced.slice_columns, repr(sliced.min_slice_rows)) == (("Region",), "40")
    assert repr(dict(training.hyperparameters)) in {
        "{'max_depth': 3, 'max_features': 1.0}",
        "{'max_features': 1.0, 'max_depth': 3}",
    }


def test_schema_comes_back_from_kfp() -> None:
    """The champion's schema survives the journey through a Struct."""
    schema = a_schema(Tenure=Kind.NUMERIC, Contract=Kind.TEXT)
    assert parse_schema(through_kfp(json.loads(schema.to_json()))) == schema
    assert parse_schema({}) is None


def test_schema_of_another_format_is_refused() -> None:
    """A schema that a newer version wrote is not guessed at."""
    with pytest.raises(BadSettings, match="has format 2, this pipeline reads 1"):
        parse_schema({"format": 2})


@pytest.mark.parametrize(
    ("parse", "value", "sentence"),
    [
        (parse_data, {"taget": "Churn"}, "parameter data has unknown keys: taget"),
        (parse_training, {"estimater": "auto"}, "parameter training has unknown keys: estimater"),
        (parse_drops, [], "parameter drops is empty"),
    ],
)
def test_wrong_parameters_are_named(parse: Any, value: Any, sentence: str) -> None:  # noqa: ANN401 - parsers of different values
    """A parameter that the daemon and the pipeline do not agree about is an error with its name."""
    with pytest.raises(BadSettings, match=sentence):
        parse(value)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (BadDrop("the file is empty"), "bad_drop", "the file is empty"),
        (DropChanged("x changed"), "drop_changed", "x changed"),
        (BadSettings("no such estimator"), "error", "no such estimator"),
        (KeyError("x"), "error", "KeyError: 'x'"),
        (MemoryError(), "error", "MemoryError"),
    ],
)
def test_failure_says_whose_fault_it_is(error: Exception, kind: str, reason: str) -> None:
    """The daemon tells a bad drop, a changed one and everything else apart."""
    document = failure_document(2, "train_model", error, "file:///a#1")
    assert document == {"attempt": 2, "step": "train_model", "kind": kind, "reason": reason, "drop": "file:///a#1"}


def test_failure_names_the_drop_that_is_bad() -> None:
    """With several in a run, the newest need not be the one."""
    with pytest.raises(BadDrop) as caught, blaming("file:///b#1"):
        raise BadDrop("the file is empty")  # noqa: EM101, TRY003 - the sentence is what is tested
    assert failure_document(2, "load", caught.value, "file:///a#1")["drop"] == "file:///b#1"


def test_failure_fits_into_a_tag() -> None:
    """However long, a reason is one line, and the document stays valid JSON of less than 4,000 characters."""
    document = failure_document(1, "s", BadDrop('"\\\n\x00' * 5000), "u\\" * 5000)
    text = json.dumps(document, ensure_ascii=False)
    assert len(text) < 4000
    assert "\n" not in json.loads(text)["reason"]


def test_drops_fit_into_a_tag() -> None:
    """The newest drops are named, as valid JSON, however many or long they are."""
    many = [Drop(uri=f"file:///{'d' * 100}/{number}", generation="1", checksum="", period="") for number in range(100)]
    named = json.loads(drops_tag(many))
    assert named[-1] == many[-1].ref
    assert 30 < len(named) < 100
    assert len(drops_tag(many)) <= 4000
    assert len(drops_tag([Drop(uri="u" * 9000, generation="7", checksum="", period="")])) <= 4000
