"""A ledger as an operator may find it at night: champions come and gone, and things that wait for a person."""

from pathlib import Path

from tests.builders import a_drop
from tests.integration.ledger_story import Storyteller
from trainer_daemon.policy.runs import RunState

HOSTILE = "<img src=x onerror=alert(1)>\"'&amp; 2026-03.csv"
"""Of an object, whose name is anybody's choice."""
CUT_OFF = "line 501 has 3 fields, the header has 5; the file seems to be cut off"


def a_night(path: Path, drops: str = "file:///drops") -> Storyteller:
    """Every section of the status page has something to show.

    Args:
        path: Of the ledger.
        drops: URI of the bucket.
    """
    story = Storyteller(path)

    def a_month(period: str) -> str:
        return f"{drops}/churn_data_{period.replace('-', '_')}.csv"

    losses = {
        "2025-05": 0.55,
        "2025-06": 0.52,
        "2025-07": 0.57,
        "2025-08": 0.50,
        "2025-09": 0.7,
        "2025-10": 0.48,
        "2025-11": 0.53,
    }
    for version, (period, log_loss) in enumerate(losses.items(), start=1):
        story.judged(a_drop(period, uri=a_month(period)), str(version), log_loss=log_loss)
    story.ended(a_drop("2025-12", uri=a_month("2025-12")), RunState.QUARANTINED, CUT_OFF)
    story.waits(a_drop("2026-01", uri=a_month("2026-01")), "8")
    story.queued(a_drop("2026-02", uri=a_month("2026-02")))
    story.queued(a_drop("2026-03", uri=f"{drops}/{HOSTILE}"))
    return story
