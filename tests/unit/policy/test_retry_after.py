import pytest

from trainer_daemon.policy.retry_after import retry_after_s

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("120", "", 120.0),
        ("0", "", 0.0),
        ("9" * 400, "", float("inf")),
        ("Thu, 01 Jan 2026 00:02:00 GMT", DATE, 120.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", DATE, 0.0),
        ("Thu, 01 Jan 2026 00:02:00 GMT", "", None),
        ("Thu, 01 Jan 2026 00:02:00", DATE, None),
        ("", DATE, None),
        ("-1", "", None),
        ("1.5", "", None),
        ("١٢", "", None),
        ("soon", DATE, None),
    ],
)
def test_header_is_a_number_of_seconds_or_a_moment(value: str, date: str, seconds: float | None) -> None:
    """By the server's own clock; anything else asks for nothing."""
    assert retry_after_s(value, date=date) == seconds
