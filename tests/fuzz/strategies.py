"""Bytes that strangers may send: seeds that were cut, overwritten, or given another value somewhere; and anything at all."""

import json
import re
from collections.abc import Iterator
from random import Random

from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS

_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?|\{\}|\[\]|null|true')
_STRANGE = [
    *(
        b'"\\ud800"',
        b'"\\u0000\\u001b[2J\\n"',
        b'"a\xff"',
        b'"../../etc"',
        b'"99999-01-01T00:00:00Z"',
        b'"2026-01-01T00:00:00+23:59"',
    ),
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"[null]",
        b"[[1]]",
        b"-1",
        b"1e999",
        b"NaN",
        b"1" * 400,
        b"1" * 5000,
        b"[" * 30_000,
        b'{"a":' * 30_000,
    ),
    *(json.dumps(word).encode() for word in ("", "x" * 2000, "\x85\u2028", "RUNNING", "²")),
]
_NOISE = [
    b"\0",
    b"\n",
    b"\x1b[2J",
    b"\xff",
    b"\xed\xa0\x80",
    "\u2028".encode(),
    b"../",
    b'"',
    b"=",
    b"\n\n",
    b"9" * 5000,
    b"." * 1024,
]


@st.composite
def hostile(draw: st.DrawFn, target: str) -> bytes:
    """Bytes for a target."""
    data = draw(st.sampled_from(SEEDS[target]))
    for _ in range(draw(st.integers(1, 3))):
        match draw(st.sampled_from(["value", "value", "noise", "cut", "anything"])):
            case "value" if places := list(_VALUE.finditer(data[:100_000])):
                place = draw(st.sampled_from(places))
                data = data[: place.start()] + draw(st.sampled_from(_STRANGE)) + data[place.end() :]
            case "cut":
                data = data[: draw(st.integers(0, len(data)))]
            case "anything":
                data = draw(st.binary(max_size=200)) + data[draw(st.integers(0, len(data))) :]
            case _:
                at = draw(st.integers(0, len(data)))
                data = data[:at] + draw(st.sampled_from(_NOISE)) + data[at + draw(st.integers(0, 8)) :]
    return data


def with_each_value_replaced(data: bytes, by: bytes) -> Iterator[bytes]:
    """Of a JSON text: as many as it has values."""
    for place in _VALUE.finditer(data):
        if not data.startswith(b":", place.end()):  # that is a key
            yield data[: place.start()] + by + data[place.end() :]


def with_another_value(data: bytes, chance: Random) -> bytes:
    """A JSON text, or a file of TOML, that can still be read: one value is a strange one, or one from elsewhere in it."""
    places = list(_VALUE.finditer(data))
    if not places:
        return data
    place, other = chance.choice(places), chance.choice(places)
    instead = chance.choice([*_STRANGE, *[other.group()] * len(_STRANGE)])
    return data[: place.start()] + instead + data[place.end() :]
