"""Bad drops end in quarantine with one sentence; the next good drop, and the corrected bad one, are trained."""

import gzip
import io
import random
import tarfile
from pathlib import Path

import pytest

from tests.acceptance.harness import Workspace
from trainer_daemon.demo_data import monthly_drop

PATIENCE_S = 800.0
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


HUGE = "churn_data_2025_11.csv"
OTHER_COLUMNS = "churn_data_2026_01.csv"


def states(workspace: Workspace) -> dict[str, str]:
    """What became of each drop; of a corrected one, its last run."""
    return {name_of(run["drops"][0]): run["state"] for run in workspace.status()["runs"]}


def reasons(workspace: Workspace) -> dict[str, str]:
    """Why drops are in quarantine."""
    return {name_of(entry["drop"]): entry["reason"] for entry in workspace.status()["quarantined"]}


def name_of(drop: str) -> str:
    """The file's."""
    return Path(drop.partition("#")[0]).name


def drop_single_line_of_300_megabytes(workspace: Workspace) -> None:
    """It must not take the machine down."""
    target = workspace.root / "huge"
    with target.open("wb") as file:
        for _ in range(300):
            file.write(b"x" * 1_000_000)
    target.rename(workspace.drops / HUGE)


@pytest.mark.timeout(1800)
def test_bad_drops_are_quarantined_and_the_good_ones_after_them_trained(workspace: Workspace) -> None:
    """One of each kind, then a good month; then the corrected uploads of two of them, and a month with other columns."""
    for name, (data, _) in BAD.items():
        workspace.drop(name, data)
    drop_single_line_of_300_megabytes(workspace)
    workspace.drop("churn_data_2025_13.csv", GOOD)
    workspace.drop("churn_data_2025_12.csv", GOOD)
    assert workspace.run_until_idle(PATIENCE_S) == 0
    assert states(workspace) == dict.fromkeys([*BAD, HUGE], "QUARANTINED") | {"churn_data_2025_12.csv": "PROMOTED"}
    told = reasons(workspace)
    for name, (_, word) in {**BAD, HUGE: (b"", "")}.items():
        assert word in told[name], told[name]
        assert 15 < len(told[name]) < 400
        assert "\n" not in told[name]
        assert "Traceback" not in told[name]
    assert all(run["attempt"] == 1 for run in workspace.status()["runs"])
    ignored = [line for line in workspace.logged("event_rejected") if "2025_13" in line["drop"]]
    assert len(ignored) == 1
    assert "month" in ignored[0]["reason"]

    corrected = ("churn_data_2025_01.csv", "churn_data_2025_04.csv")
    for name in corrected:
        workspace.drop(name, monthly_drop(drift=0.0, seed=7))
    workspace.drop(OTHER_COLUMNS, GOOD.replace("SupportTickets", "Tickets"))
    assert workspace.run_until_idle(PATIENCE_S) == 0
    quarantined = {name for name, state in states(workspace).items() if state == "QUARANTINED"}
    assert quarantined == {*BAD, HUGE, OTHER_COLUMNS} - {*corrected}
    changed = reasons(workspace)[OTHER_COLUMNS]
    assert "SupportTickets" in changed
    assert "Tickets" in changed.replace("SupportTickets", "")
    assert not (workspace.root.parent / "escaped.csv").exists()
