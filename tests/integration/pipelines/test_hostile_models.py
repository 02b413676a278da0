"""Model files that somebody else wrote: refused with a sentence, and nothing in them is executed or even imported."""

import io
import json
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from pipelines.errors import UnusableModel
from pipelines.model_files import load_model

BOUNDED = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORBIDDEN = [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen"), ("canary_that_is_imported_by_nobody", "sing")]


def honest() -> bytes:
    """A model as ours are, but small."""
    numbers = np.random.default_rng(1).normal(size=(20, 2))
    model = Pipeline([("scale", StandardScaler()), ("fit", LogisticRegression())]).fit(numbers, [0, 1] * 10)
    return bytes(skops.io.dumps(model))


HONEST = honest()
WITH_FUNCTION = bytes(skops.io.dumps(Pipeline([("call", FunctionTransformer(func=np.testing.assert_equal))])))


def rewritten(content: bytes, change: Callable[[Any], Any], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A model file whose description was changed, packed as if nothing were wrong."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", compression) as changed:
        for name in source.namelist():
            data = source.read(name)
            changed.writestr(name, json.dumps(change(json.loads(data))) if name == "schema.json" else data)
    return target.getvalue()


def nodes(tree: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """Every object in a description."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    own = [tree] if isinstance(tree, dict) else []
    return own + [node for part in inner for node in nodes(part)]


def loaded(folder: Path, content: bytes) -> Pipeline:
    """What loading the bytes comes to."""
    path = folder / "model.skops"
    path.write_bytes(content)
    return load_model(path)


def test_honest_model_is_loaded(tmp_path: Path) -> None:
    """Also after it was packed again: what follows is refused for its content."""
    assert isinstance(loaded(tmp_path, HONEST), Pipeline)
    assert isinstance(loaded(tmp_path, rewritten(HONEST, lambda schema: schema, compression=zipfile.ZIP_DEFLATED)), Pipeline)


@pytest.mark.parametrize(("module", "name"), FORBIDDEN)
def test_function_that_is_not_trusted_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    """Whatever a file wants to call; a module that it names is not imported."""
    (tmp_path / "canary_that_is_imported_by_nobody.py").write_text("sing = print")
    monkeypatch.syspath_prepend(tmp_path)

    def renamed(schema: Any) -> Any:  # noqa: ANN401 - JSON
        for node in nodes(schema):
            if node.get("__class__") == "function" or node.get("__loader__") == "FunctionNode":
                node["__module__"], node["__class__"] = module, name
                node["content"] = {"module_path": module, "function": name}
        return schema

    with pytest.raises(UnusableModel, match=f"holds types that are not trusted: {module}.{name}"):
        loaded(tmp_path, rewritten(WITH_FUNCTION, renamed))
    assert "canary_that_is_imported_by_nobody" not in sys.modules


@BOUNDED
@given(
    where=st.integers(0, 10**6), key=st.sampled_from(["__class__", "__module__", "__loader__", "content", "file"]), data=st.data()
)
def test_rewritten_description_is_a_model_or_refused(tmp_path: Path, where: int, key: str, data: st.DataObject) -> None:
    """Types, loaders and contents exchanged at any place; nothing but our own error comes out."""
    loaders = [
        "FunctionNode",
        "PartialNode",
        "MethodNode",
        "ObjectNode",
        "ReduceNode",
        "DictNode",
        "ListNode",
        "JsonNode",
        "Nobody",
    ]
    anything: st.SearchStrategy[Any] = st.sampled_from(["os", "system", "builtins", "", None, 1, [], {}, *loaders])
    instead = data.draw(anything)

    def exchanged(schema: Any) -> Any:  # noqa: ANN401 - JSON
        every = nodes(schema)
        every[where % len(every)][key] = instead
        return schema

    with suppress(UnusableModel):
        assert isinstance(loaded(tmp_path, rewritten(HONEST, exchanged)), Pipeline)


@BOUNDED
@given(at=st.integers(0, len(HONEST) - 1), noise=st.binary(min_size=1, max_size=8), cut=st.booleans())
def test_damaged_file_is_a_model_or_refused(tmp_path: Path, at: int, noise: bytes, cut: bool) -> None:  # noqa: FBT001 - drawn
    """Bytes exchanged or lost anywhere."""
    damaged = HONEST[:at] if cut else HONEST[:at] + noise + HONEST[at + len(noise) :]
    with suppress(UnusableModel):
        assert isinstance(loaded(tmp_path, damaged), Pipeline)


def deeply_nested() -> bytes:
    """A description that no parser gets to the end of."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("schema.json", "[" * 200_000)
    return target.getvalue()


def broken_stream() -> bytes:
    """A compressed part whose bytes are no stream, with a directory that says they are."""
    packed = bytearray(rewritten(HONEST, lambda schema: schema, compression=zipfile.ZIP_DEFLATED))
    start = packed.index(b"schema.json") + len(b"schema.json")
    packed[start : start + 20] = b"\xff" * 20
    return bytes(packed)


def locked() -> bytes:
    """A part that needs a password."""
    packed = bytearray(HONEST)
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = packed.index(mark)
        packed[at + offset] |= 1
        while (at := packed.find(mark, at + 1)) >= 0:
            packed[at + offset] |= 1
    return bytes(packed)


@pytest.mark.parametrize(
    "content", [b"", deeply_nested(), broken_stream(), locked()], ids=["empty", "nested", "stream", "locked"]
)
def test_file_that_no_library_can_read_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    """However the library fails."""
    with pytest.raises(UnusableModel, match="cannot be read as a skops model"):
        loaded(tmp_path, content)
