"""Rows to predictions: what is refused, whose they are, and that blocks change nothing."""

import io
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import BadDrop, BadSettings
from pipelines.model import churn_probabilities
from pipelines.opening import BUFFER_BYTES, unpack
from pipelines.parameters import DataSettings
from pipelines.prediction import Predictor, Tally
from pipelines.reading import Blocks, RawDrop
from pipelines.schema import Kind
from pipelines.serving import Served
from tests.unit.pipelines.builders import a_csv, a_drop, a_tar, prepared
from tests.unit.pipelines.test_model import fitted, rows_of

ROWS = 120_000


@pytest.fixture(scope="module")
def served() -> Served:
    """A version that knows two numbers and a text."""
    ready = prepared(a_csv(400))
    model = fitted(rows_of(ready.training, ready.schema, ready.training["Churn"].to_numpy()), estimator="auto").model
    columns = {"Tenure": Kind.NUMERIC, "Charges": Kind.NUMERIC, "Contract": Kind.TEXT}
    return Served(name="churn", version="7", model=model, columns=columns)


def blocks_of(content: bytes) -> Blocks:
    """The blocks of a data set in memory."""
    stream = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(content), BUFFER_BYTES))
    return Blocks(a_drop(), unpack(stream, 1 << 30))


def predictions(served: Served, content: bytes, **settings: Any) -> tuple[pa.Table, Tally]:  # noqa: ANN401 - any setting
    """All predictions of a data set, and their tally."""
    predictor = Predictor(served, DataSettings(**settings), "k" * 64)
    return pa.concat_tables(predictor.predict(blocks_of(content))), predictor.tally


def reason(served: Served, content: bytes) -> str:
    """The sentence that a data set is refused with."""
    with pytest.raises(BadDrop) as refused:
        predictions(served, content)
    return refused.value.reason


def whole(block: Sequence[RawDrop]) -> RawDrop:
    """Blocks put together as one."""
    table = pa.concat_tables([part.table for part in block]).combine_chunks()
    return RawDrop(drop=a_drop(), table=table, parts=(("", table.num_rows),), complete=True)


def test_blocks_predict_what_the_whole_file_does(served: Served) -> None:
    """Several blocks come of the file, and their predictions are those of one frame of all rows."""
    content = a_csv(ROWS)
    blocks = list(blocks_of(content))
    assert len(blocks) > 1
    together = pa.concat_tables(Predictor(served, DataSettings(), "k").predict([whole(blocks)]))
    apart = pa.concat_tables(Predictor(served, DataSettings(), "k").predict(blocks))
    assert apart.combine_chunks().equals(together.combine_chunks())
    frame = whole(blocks).table.to_pandas().astype({"Tenure": "float64", "Charges": "float64"})
    assert apart["probability"].to_numpy() == pytest.approx(churn_probabilities(served.model, frame), abs=1e-9)


def test_prediction_says_whose_it_is_and_by_what_it_was_made(served: Served) -> None:
    """Ids as written, probability, label at one half, version and run key."""
    content = b"Customer ID,Tenure,Charges,Contract\n0007,1,20.5,A\n0008,4,24.5,B\n"
    table, tally = predictions(served, content, entity_column="customer id", id_columns=("Region",))
    assert table.column_names == ["Customer ID", "probability", "label", "model_version", "run_key"]
    assert table["Customer ID"].to_pylist() == ["0007", "0008"]
    probabilities = table["probability"].to_numpy()
    assert table["label"].to_pylist() == (probabilities >= 0.5).astype(int).tolist()
    assert (set(table["model_version"].to_pylist()), set(table["run_key"].to_pylist())) == ({"7"}, {"k" * 64})
    assert (tally.rows, int(tally.probabilities.sum())) == (2, 2)
    assert tally.mean == pytest.approx(probabilities.mean())


def test_rows_without_an_id_are_numbered_over_all_parts(served: Served) -> None:
    """From 1, across the blocks and the parts of an archive; no target is needed."""
    part = a_csv(40_000).replace(b",Churn\n", b",Ignored\n", 1)
    table, _ = predictions(served, a_tar({"a.csv": part, "b.csv": part}))
    assert table["row"].to_pylist() == list(range(1, 80_001))


def test_missing_cells_and_unseen_texts_are_predicted(served: Served) -> None:
    """As in training, they are no reason to refuse a row."""
    table, _ = predictions(served, b"Tenure,Charges,Contract\n,20.5,A\n3,NA,never seen\n4,2,\n")
    assert np.isfinite(table["probability"].to_numpy()).all()


def test_columns_that_are_missing_are_named_with_what_is_alike(served: Served) -> None:
    """A person sees what to correct; nothing is guessed."""
    assert reason(served, b"tenure,Contract\n1,A\n") == (
        "the columns do not fit version 7 of churn: 'Tenure', 'Charges' missing ('tenure' is spelled differently); "
        "correct the file, or use a version that was trained on such columns"
    )


def test_text_where_numbers_were_is_refused_with_its_place(served: Served) -> None:
    """However far into the file it stands."""
    content = a_csv(ROWS, edits={ROWS - 3: "1,about 20,A,0"})
    assert reason(served, content) == f"column 'Charges' holds numbers for version 7 of churn, but row {ROWS - 3} has 'about 20'"


def test_text_in_a_part_is_placed_in_its_part(served: Served) -> None:
    """Rows count from 1 in each part, whatever the block."""
    parts = {"a.csv": a_csv(30), "b.csv": a_csv(ROWS, edits={ROWS: "x,1,A,0"})}
    assert reason(served, a_tar(parts)).endswith(f"but row {ROWS} of b.csv has 'x'")


def test_infinite_number_is_refused(served: Served) -> None:
    """No model was trained on one."""
    assert "'inf' is not a finite number" in reason(served, b"Tenure,Charges,Contract\ninf,1,A\n")


def test_file_without_rows_is_refused(served: Served) -> None:
    """An empty result would look like a success."""
    assert reason(served, b"Tenure,Charges,Contract\n") == "the file has a header but no rows"


def test_id_that_would_hide_a_result_is_refused(served: Served) -> None:
    """Two columns of one name cannot be told apart."""
    with pytest.raises(BadSettings, match="id column 'label' is called like a column of the predictions"):
        predictions(served, b"label,Tenure,Charges,Contract\n1,1,1,A\n", id_columns=("label",))
