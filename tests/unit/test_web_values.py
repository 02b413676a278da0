"""What pages are made of: drawings, filters of logs, addresses and words."""

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_drop, a_run
from trainer_daemon.policy.runs import RunState
from trainer_daemon.web.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Score, draw
from trainer_daemon.web.following import follow_drop, follow_run
from trainer_daemon.web.rendering import Place, commands, duration

values = st.none() | st.floats(min_value=-1e6, max_value=1e6)
scores = st.builds(Score, version=st.just("1"), period=st.sampled_from(["2025-03", "2025-12", ""]), own=values, replaced=values)


@given(st.lists(scores, max_size=15))
def test_every_point_of_a_chart_is_inside_it(told: list[Score]) -> None:
    """Whatever the scores are; each champion has its column, and a higher score is higher up."""
    chart = draw(told)
    known = [value for score in told for value in (score.own, score.replaced) if value is not None]
    assert (chart is None) == (not known)
    if chart is None:
        return
    assert len(chart.columns) == len(told)
    assert 2 <= len(chart.ticks) <= 8
    for score, column in zip(told, chart.columns, strict=True):
        assert LEFT <= column.x <= WIDTH - RIGHT
        heights = [height for height in (column.own, column.replaced) if height is not None]
        assert all(TOP - 0.1 <= height <= HEIGHT - BOTTOM + 0.1 for height in heights)
        if score.own is not None and score.replaced is not None and score.own > score.replaced:
            assert column.own is not None
            assert column.replaced is not None
            assert column.own <= column.replaced


def test_chart_names_a_year_where_it_begins() -> None:
    """And every month."""
    told = [Score(version="1", period=period, own=0.5, replaced=None) for period in ("2025-11", "2025-12", "2026-01")]
    chart = draw(told)
    assert chart is not None
    assert [(column.month, column.year) for column in chart.columns] == [("11", "2025"), ("12", ""), ("01", "2026")]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min 59 s"), (7200, "2 h"), (90061, "1 d 1 h"), (-5, "0 s")],
)
def test_duration_is_told_in_two_units(seconds: float, said: str) -> None:
    """The largest that say something."""
    assert duration(seconds) == said


def test_what_is_typed_is_marked_and_everything_is_escaped() -> None:
    """Backticks are no HTML, and neither is a name."""
    assert commands("`cancel <b>` ends it & more") == "<code>cancel &lt;b&gt;</code> ends it &amp; more"


def test_links_are_relative_and_keep_a_page_still() -> None:
    """A proxy may put anything before them; who stopped the refreshing stays with that."""
    at = Place(path="/runs/abc", query={}, refreshing=False)
    assert at.url("runs", model="a b&c", state=None) == "../runs?model=a+b%26c&refresh=off"
    assert at.toggled == "../runs/abc"
    assert Place(path="/", query={}).url("drops/3") == "./drops/3"
    assert Place(path="/runs", query={"model": "churn"}).toggled == "./runs?model=churn&refresh=off"


def test_filter_of_a_run_has_its_drop_and_all_attempts() -> None:
    """A quote in a name ends neither the filter nor the shell's word."""
    drop = a_drop(uri="""gs://b/it's "quoted" 2025-03.csv""")
    run = a_run(RunState.RUNNING, drop)
    follow = follow_run(run)
    assert f'labels.run_key="{run.key}"' in follow.cloud_logging
    assert f"labels.drop={json.dumps(drop.ref)}" in follow.cloud_logging
    words = shlex.split(follow.terminal)
    assert words[-1] == f"fromjson? | objects | select(.run_key == {json.dumps(run.key)} or .drop == {json.dumps(drop.ref)})"
    assert json.dumps(drop.uri) in shlex.split(follow_drop(drop.uri).terminal)[-1]
