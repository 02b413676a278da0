from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_daemon.errors import InvalidEvent
from trainer_daemon.policy.objects import parse_object, place_of, printable

RESOURCE: dict[str, Any] = {
    "name": "in/churn_data_2025_03.csv",
    "generation": "1795246435079405",
    "crc32c": "SZ2HxQ==",
    "size": "8",
    "timeCreated": "2026-11-21T07:33:55.0794Z",
}


@pytest.mark.parametrize(
    ("uri", "prefix", "listed"),
    [
        ("gs://drops", "", "churn_data_"),
        ("gs://drops/in", "in/", "in/churn_data_"),
        ("gs://drops/a/b/", "a/b/", "a/b/churn_data_"),
    ],
)
def test_place_is_a_bucket_and_what_names_begin_with(uri: str, prefix: str, listed: str) -> None:
    """Only what may be a drop has to be listed."""
    place = place_of(uri, "churn_data_{period}.csv")
    assert (place.bucket, place.prefix, place.listed_prefix, place.uri) == ("drops", prefix, listed, uri.rstrip("/"))


def test_name_within_a_place_is_what_follows_its_prefix() -> None:
    """A folder that is named alike is another one."""
    place = place_of("gs://drops/in", "{period}.csv")
    assert place.name_within("drops", "in/2025_03.csv") == "2025_03.csv"
    assert place.name_within("drops", "in2/2025_03.csv") is None
    assert place.name_within("other", "in/2025_03.csv") is None


def test_object_becomes_a_drop_that_is_identified_by_its_content() -> None:
    """Checksum and size are the identity; no MD5, since composed objects have none."""
    stored = parse_object("drops", RESOURCE)
    assert stored.created_at == datetime(2026, 11, 21, 7, 33, 55, 79400, tzinfo=UTC)
    drop = stored.drop("2025-03")
    assert drop.ref == "gs://drops/in/churn_data_2025_03.csv#1795246435079405"
    assert drop.checksum == "crc32c:SZ2HxQ==:8"
    assert drop.checksum == parse_object("drops", {**RESOURCE, "md5Hash": "5evUwCzvvnlVl3xnraJCtw=="}).checksum
    assert drop.size_bytes == 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crc32c": None}, "crc32c is None: without a checksum"),
        ({"crc32c": "no"}, 'crc32c is "no"'),
        ({"generation": "1.5"}, 'generation is "1.5", no whole number of 64 bits'),
        ({"generation": 7}, "generation is 7"),
        ({"generation": str(2**63)}, "no whole number of 64 bits"),
        ({"size": "\uff11"}, "no whole number"),
        ({"name": ""}, 'name is ""'),
        ({"timeCreated": "yesterday"}, 'timeCreated is "yesterday", no moment'),
        ({"timeCreated": "0001-01-01T00:00:00+23:59"}, "no moment"),
    ],
)
def test_impossible_object_is_refused_with_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    """By name and value."""
    with pytest.raises(InvalidEvent) as caught:
        parse_object("drops", {**RESOURCE, **changes})
    assert words in str(caught.value)


@given(st.text())
def test_printable_text_is_short_and_plain(text: str) -> None:
    """No database and no log line is harmed by it."""
    plain = printable(text)
    assert len(plain) <= 121
    assert plain.isprintable()
    plain.encode()
