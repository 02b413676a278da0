"""What strangers can put into a bucket, a topic, MLflow or a file; the same targets are fuzzed by `python -m tests.fuzz`."""

import json
import tarfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pipelines.errors import BadDrop
from tests.fuzz.strategies import hostile
from tests.fuzz.targets import SEEDS, TARGETS
from tests.unit.pipelines.builders import a_csv, a_tar, read
from trainer_daemon.policy.observations import parse_evaluation
from trainer_daemon.policy.text import read_document

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=200)


@pytest.mark.parametrize("target", ["csv", "message", "config", "evaluation"])
def test_what_honest_people_send_breaks_nothing(target: str) -> None:
    """What the others begin with."""
    for seed in SEEDS[target]:
        TARGETS[target](seed)


@few
@given(hostile("csv"))
def test_drop_is_prepared_or_refused_with_a_sentence(data: bytes) -> None:
    """From bytes to rows to train on."""
    TARGETS["csv"](data)


@many
@given(hostile("message"))
def test_message_is_an_event_of_the_place_or_a_rejection(data: bytes) -> None:
    """With names of runs that are plain, and words that can be kept."""
    TARGETS["message"](data)


@many
@given(hostile("config"))
def test_configuration_is_settings_or_sentences_without_secrets(data: bytes) -> None:
    """Whatever the file holds."""
    TARGETS["config"](data)


@many
@given(hostile("evaluation"))
def test_what_mlflow_says_of_a_run_can_be_stored(data: bytes) -> None:
    """Evaluation, failure, decision, schema and tags, which whoever may write MLflow can change."""
    TARGETS["evaluation"](data)


@pytest.mark.parametrize("text", [b"a = " + b"[" * 100_000, b"a = " + b"1" * 5000, b"a = 2024-02-30"])
def test_file_that_breaks_the_parser_is_refused(text: bytes) -> None:
    """The parser itself raises something else than it says."""
    TARGETS["config"](text)


@pytest.mark.parametrize("name", ["a\x1b[2J.csv", "a\nforged line.csv", "a\udcff.csv", "../\udcff\u2028.csv"])
def test_names_in_an_archive_cannot_forge_lines(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether they are told in the reason or in the step's log."""
    info = tarfile.TarInfo(f"{name}.txt")
    with pytest.raises(BadDrop) as caught:
        read(a_tar({name: b"a,b\n1\n2\n3,4\n", "b.csv": a_csv()}, info))
    caught.value.reason.encode()
    assert caught.value.reason.isprintable()
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("number", ["1e999", "NaN", "1" * 400])
def test_number_that_no_machine_holds_is_no_evaluation(number: str) -> None:
    """Python reads it from JSON, and fails where it is used."""
    text = json.dumps({"format": 1, "run_key": "k", "attempt": 1, "holdout": {"rows": 0}, "candidate": {}, "champion": None})
    document: Any = json.loads(
        text.replace('"rows": 0', f'"rows": {number}').replace(
            '"candidate": {}', f'"candidate": {{"metrics": {{"a": {number}}}}}'
        )
    )
    with pytest.raises(ValueError, match=r"evaluation\.json cannot be read"):
        parse_evaluation(document)


def test_text_that_no_database_takes_is_replaced() -> None:
    """In keys and values, at any depth; everything else stays as it is."""
    document, problem = read_document(r'{"a\u0000": [{"b": "\ud800x\u00a0\n"}, 1.5, null]}')
    assert (document, problem) == ({"a?": [{"b": "?x\xa0\n"}, 1.5, None]}, "")
    assert read_document("[" * 100_000)[0] == {}
