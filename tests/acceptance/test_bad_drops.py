"""Bad drops end in quarantine with one sentence; the next good drop, and the corrected bad one, are trained."""

import gzip
import io
import random
import tarfile
from pathlib import Path

import pytest

from tests.acceptance.harness import Workspace
from trainer_daemon.demo_data import monthly_drop

GOOD = monthly_drop(drift=0.0, seed=1)
HEADER, *ROWS = GOOD.splitlines()
TARGET = HEADER.split(",").index("Churn")


def with_target(value: str, share: float = 1.0) -> str:
    """The good drop with another target in a share of its rows."""
    rows = [row.split(",") for row in ROWS]
    for row in rows[: int(len(rows) * share)]:
        row[TARGET] = value
    return "\n".join([HEADER, *(",".join(row) for row in rows)]) + "\n"


def truncated_gzip() -> bytes:
    """A transfer that broke off."""
    return gzip.compress(GOOD.encode())[:-2000]


def escaping_archive() -> bytes:
    """A part that would land outside."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../escaped.csv")
        member.size = len(GOOD.encode())
        archive.addfile(member, io.BytesIO(GOOD.encode()))
    return buffer.getvalue()


BAD: dict[str, tuple[str | bytes, str]] = {
    "churn_data_2025_01.csv": (b"", "empty"),
    "churn_data_2025_02.csv": (HEADER + "\n", "row"),
    "churn_data_2025_03.csv": (GOOD.replace("Churn", "Gone"), "Churn"),
    "churn_data_2025_04.csv": (with_target("0"), "same label"),
    "churn_data_2025_05.csv": (with_target("maybe", 0.5), "maybe"),
    "churn_data_2025_06.csv": (GOOD[: len(GOOD) // 2].rsplit(",", 1)[0], ""),
    "churn_data_2025_07.csv": (random.Random(1).randbytes(50_000), ""),
    "churn_data_2025_08.csv": (with_target("", 0.4), "missing"),
    "churn_data_2025_09.csv.gz": (truncated_gzip(), ""),
    "churn_data_2025_10.tar.gz": (escaping_archive(), ""),
}


@pytest.mark.timeout(300)
def test_bad_drops_are_quarantined_and_the_good_ones_after_them_trained(workspace: Workspace) -> None:
    """One of each kind, then a good month, then the corrected uploads of two of them."""
    for name, (data, _) in BAD.items():
        workspace.drop(name, data)
    workspace.drop("churn_data_2025_13.csv", GOOD)
    workspace.drop("churn_data_2025_12.csv", GOOD)
    assert workspace.run_until_idle(200) == 0
    status = workspace.status()
    states = {Path(run["drops"][0].partition("#")[0]).name: run["state"] for run in status["runs"]}
    assert states == dict.fromkeys(BAD, "QUARANTINED") | {"churn_data_2025_12.csv": "PROMOTED"}
    reasons = {Path(entry["drop"].partition("#")[0]).name: entry["reason"] for entry in status["quarantined"]}
    for name, (_, word) in BAD.items():
        assert word in reasons[name], reasons[name]
        assert 15 < len(reasons[name]) < 400
        assert "\n" not in reasons[name]
        assert "Traceback" not in reasons[name]
    assert all(run["attempt"] == 1 for run in status["runs"])
    ignored = [line for line in workspace.logged("event_rejected") if "2025_13" in line["drop"]]
    assert len(ignored) == 1
    assert "month" in ignored[0]["reason"]

    for name in ("churn_data_2025_01.csv", "churn_data_2025_04.csv"):
        workspace.drop(name, monthly_drop(drift=0.0, seed=7))
    assert workspace.run_until_idle() == 0
    again = {
        Path(run["drops"][0].partition("#")[0]).name: run["state"]
        for run in workspace.status()["runs"]
        if run["state"] != "QUARANTINED"
    }
    assert set(again) == {"churn_data_2025_01.csv", "churn_data_2025_04.csv", "churn_data_2025_12.csv"}
    assert not (workspace.root.parent / "escaped.csv").exists()


def test_columns_that_changed_against_the_champion_are_quarantined_unless_allowed(workspace: Workspace) -> None:
    """The sentence names the columns."""
    workspace.drop("churn_data_2025_01.csv", GOOD)
    assert workspace.run_until_idle() == 0
    workspace.drop("churn_data_2025_02.csv", GOOD.replace("SupportTickets", "Tickets"))
    assert workspace.run_until_idle() == 0
    (entry,) = workspace.status()["quarantined"]
    assert "SupportTickets" in entry["reason"]
    assert "Tickets" in entry["reason"]


@pytest.mark.timeout(300)
def test_single_line_of_300_megabytes_is_quarantined(workspace: Workspace) -> None:
    """Without taking the machine down."""
    target = workspace.root / "huge"
    with target.open("wb") as file:
        for _ in range(300):
            file.write(b"x" * 1_000_000)
    target.rename(workspace.drops / "churn_data_2025_01.csv")
    workspace.drop("churn_data_2025_02.csv", GOOD)
    assert workspace.run_until_idle(200) == 0
    assert [run["state"] for run in workspace.status()["runs"]] == ["QUARANTINED", "PROMOTED"]
