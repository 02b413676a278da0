import pytest

from trainer_daemon.policy.checks import Finding, Status
from trainer_daemon.policy.drop_names import judge_names

TEMPLATE = "churn_data_{period}.csv"


def judged(*names: str, is_complete: bool = True) -> Finding:
    """The finding for names in a folder."""
    return judge_names(names, TEMPLATE, where="/drops", is_complete=is_complete)


def test_drops_are_counted() -> None:
    """And the newest is named; what else lies there is mentioned when it may be data."""
    assert judged("churn_data_2025_03.csv", "notes.txt").found == "1 drop, the newest of 2025-03"
    finding = judged("churn_data_2025-03.csv", "churn_data_2025_11.csv.gz", "telco.csv", ".hidden.csv")
    assert finding.status is Status.OK
    assert finding.found == "2 drops, the newest of 2025-11; 1 data file is named otherwise and ignored, as telco.csv"


def test_part_of_a_large_bucket_is_called_one() -> None:
    """Nobody waits for a million names."""
    assert judged("churn_data_2025_03.csv", is_complete=False).found == "at least 1 drop, the newest of 2025-03"


@pytest.mark.parametrize(
    ("names", "guess"),
    [
        (("telco_2025_03.csv", "telco_2025_04.csv.gz", "other.csv"), "telco_{period}.csv"),
        (("Churn_Data_2025_03.csv",), "Churn_Data_{period}.csv"),
        (("churn_data_2025_03.CSV",), "churn_data_{period}.CSV"),
        (("2025-03-telco.parquet",), "{period}-telco.parquet"),
    ],
)
def test_template_that_matches_nothing_fails_with_the_one_that_would(names: tuple[str, ...], guess: str) -> None:
    """A typo in `drops` would otherwise look like an empty bucket."""
    finding = judged(*names)
    assert (finding.status, TEMPLATE in finding.found) == (Status.FAILED, True)
    assert finding.fix == f'if these are the drops, set drops = "{guess}"'


def test_data_without_a_month_in_its_name_cannot_be_guessed() -> None:
    """Digits that are no month are not taken for one."""
    finding = judged("telco.csv", "id_12345678.csv")
    assert (finding.status, "{period} where the month is" in finding.fix) == (Status.FAILED, True)


def test_impossible_month_is_a_warning() -> None:
    """It would never be trained."""
    finding = judged("churn_data_2025_03.csv", "churn_data_2025_13.csv")
    assert finding.status is Status.WARNING
    assert finding.found == "1 drop, the newest of 2025-03, and churn_data_2025_13.csv, which has no possible month"
    assert judged("churn_data_2025_13.csv").found.startswith("0 drops, and ")


@pytest.mark.parametrize("names", [(), ("notes.txt",)])
def test_empty_bucket_is_a_warning(names: tuple[str, ...]) -> None:
    """It may be new, or the wrong one."""
    finding = judged(*names)
    assert (finding.status, finding.fix) == (
        Status.WARNING,
        "upload a drop named like churn_data_2025_03.csv, or correct `bucket`",
    )
