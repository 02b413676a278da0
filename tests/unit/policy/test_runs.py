"""Identity and names of runs, and the moves between their states."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_drop
from trainer_daemon.policy.runs import LIVE, MOVES, OPEN, RunState, run_key, run_name


def key(**changes: object) -> str:
    """The key of a run of March."""
    return run_key(**({"model": "m", "drops": (a_drop(),), "pipeline_digest": "d", "parameters": {"seed": 1}} | changes))  # type: ignore[arg-type]


def test_generation_does_not_change_the_key_and_content_does() -> None:
    """The same bytes uploaded again are the same run."""
    assert key() == key(drops=(a_drop(generation="2"),))
    others = [
        key(drops=(a_drop(content="b"),)),
        key(model="n"),
        key(pipeline_digest="e"),
        key(parameters={"seed": 2}),
        key(nonce="x"),
    ]
    assert len({key(), *others}) == 6


def test_key_does_not_depend_on_the_order_of_parameters() -> None:
    """Dictionaries are equal whatever their order."""
    assert key(parameters={"a": 1, "b": 2}) == key(parameters={"b": 2, "a": 1})


@given(model=st.text(), attempt=st.integers(1, 99))
def test_names_are_made_of_what_the_kfp_api_survives(model: str, attempt: int) -> None:
    """It decodes names twice, so only `[a-z0-9-]` is safe, and Vertex wants a letter first."""
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,79}", run_name(model, "2025-03", "ab" * 32, attempt))


def test_every_state_has_its_moves_and_only_a_person_turns_a_decision_round() -> None:
    """A superseded run cannot be promoted, a decided one cannot be trained or judged again."""
    assert set(MOVES) == set(RunState)
    assert RunState.PROMOTED not in MOVES[RunState.SUPERSEDED]
    assert set(MOVES[RunState.PROMOTED]) == {RunState.REJECTED}
    assert set(MOVES[RunState.REJECTED]) == {RunState.PROMOTED}
    assert not MOVES[RunState.QUARANTINED]
    assert OPEN < LIVE
