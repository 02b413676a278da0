"""Names, periods, ids and history."""

import pytest

from tests.builders import a_drop
from trainer_daemon.policy.events import drop_event_id, drop_pattern, history_to_skip, looks_like_drop, parse_period

TEMPLATE = "churn_data_{period}.csv"


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("churn_data_2025_03.csv", "2025-03"),
        ("churn_data_2025-03.csv", "2025-03"),
        ("churn_data_202503.csv", "2025-03"),
        ("churn_data_2025_03.csv.gz", "2025-03"),
        ("churn_data_2025_03.tar.gz", "2025-03"),
        ("churn_data_2025_13.csv", None),
        ("churn_data_2025_00.csv", None),
        ("churn_data_2025_3.csv", None),
        ("churn_data_2025_03.csv.tmp", None),
        ("old_churn_data_2025_03.csv", None),
        ("churn_data_2025_03_csv", None),
        ("churn_data_2025_03.csv\n", None),
    ],
)
def test_period_is_parsed_out_of_the_name(name: str, period: str | None) -> None:
    """Only the whole name counts, and only months that exist."""
    assert parse_period(name, TEMPLATE) == period


def test_impossible_month_looks_like_a_drop_and_other_names_do_not() -> None:
    """A typo in a month deserves a warning, a foreign file does not."""
    assert looks_like_drop("churn_data_2025_13.csv", TEMPLATE)
    assert not looks_like_drop("churn_data_2025_12.csv", TEMPLATE)
    assert not looks_like_drop("readme.txt", TEMPLATE)


@pytest.mark.parametrize("template", ["churn.csv", "{period}_{period}.csv"])
def test_template_without_exactly_one_period_is_refused(template: str) -> None:
    """The message shows how it is done."""
    with pytest.raises(ValueError, match="exactly once"):
        drop_pattern(template)


def test_every_version_of_a_drop_has_its_own_event_id() -> None:
    """The generation tells versions apart, the model tells subscribers apart."""
    ids = {drop_event_id(model, a_drop(generation=generation)) for model in ("a", "b") for generation in ("1", "2")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("start_from", "skipped"),
    [
        ("all", set()),
        ("newest", {"2025-03", "2025-05"}),
        ("2025-05", {"2025-03"}),
        ("2026-01", {"2025-03", "2025-05", "2025-06"}),
    ],
)
def test_start_from_says_how_much_history_is_trained(start_from: str, skipped: set[str]) -> None:
    """Whatever is older than the first wanted period is skipped."""
    drops = tuple(a_drop(period) for period in ("2025-06", "2025-03", "2025-05"))
    refs = history_to_skip(drops, start_from)
    assert {drop.period for drop in drops if drop.ref in refs} == skipped
