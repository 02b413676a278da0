"""Bad drops of each kind, for a model of their own beside that of a test, and what becomes of them."""

import gzip
import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.ledger_view import LedgerView
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


MODEL = "bad"
HUGE = "churn_data_2025_11.csv"
OTHER_COLUMNS = "churn_data_2026_01.csv"


def add_model(workspace: Workspace) -> None:
    """Configure it; its bucket is a folder of its own."""
    table = {"name": MODEL, "bucket": MODEL, "retry_backoff_s": 0.1}
    lines = ["[[models]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    with workspace.config.open("a") as config:
        config.write("\n".join([*lines, "[models.training]", 'estimator = "logistic_regression"', ""]))
    bucket(workspace).mkdir()


def bucket(workspace: Workspace) -> Path:
    """Of the model."""
    return workspace.root / MODEL


def drop(workspace: Workspace, name: str, data: str | bytes) -> None:
    """Upload."""
    workspace.drop(f"../{MODEL}/{name}", data)


def status(workspace: Workspace) -> dict[str, Any]:
    """The model's part of `status --json`."""
    models = json.loads(workspace.ask("status", "--json").stdout)["models"]
    return next(model for model in models if model["name"] == MODEL)


def states(workspace: Workspace) -> dict[str, str]:
    """What became of each drop; of a corrected one, its last run."""
    return {name_of(run["drops"][0]): run["state"] for run in status(workspace)["runs"]}


def reasons(workspace: Workspace) -> dict[str, str]:
    """Why drops are in quarantine."""
    return {name_of(entry["drop"]): entry["reason"] for entry in status(workspace)["quarantined"]}


def name_of(drop: str) -> str:
    """The file's."""
    return Path(drop.partition("#")[0]).name


def drop_single_line_of_300_megabytes(workspace: Workspace) -> None:
    """It must not take the machine down."""
    target = workspace.root / "huge"
    with target.open("wb") as file:
        for _ in range(300):
            file.write(b"x" * 1_000_000)
    target.rename(bucket(workspace) / HUGE)


def require_bad_drops_to_cost_themselves_only(workspace: Workspace) -> None:
    """One of each kind, then a good month; then the corrected uploads of two of them, and a month with other columns."""
    for name, (data, _) in BAD.items():
        drop(workspace, name, data)
    drop_single_line_of_300_megabytes(workspace)
    drop(workspace, "churn_data_2025_13.csv", GOOD)
    drop(workspace, "churn_data_2025_12.csv", GOOD)
    wait_until_ended(workspace, len(BAD) + 2)
    assert states(workspace) == dict.fromkeys([*BAD, HUGE], "QUARANTINED") | {"churn_data_2025_12.csv": "PROMOTED"}
    require_reasons_that_people_can_read(workspace)
    assert all(run["attempt"] == 1 for run in status(workspace)["runs"])
    ignored = [line for line in workspace.logged("event_rejected") if "2025_13" in line["drop"]]
    assert len(ignored) == 1
    assert "month" in ignored[0]["reason"]

    corrected = ("churn_data_2025_01.csv", "churn_data_2025_04.csv")
    for name in corrected:
        drop(workspace, name, monthly_drop(drift=0.0, seed=7))
    drop(workspace, OTHER_COLUMNS, GOOD.replace("SupportTickets", "Tickets"))
    wait_until_ended(workspace, len(BAD) + 2 + len(corrected) + 1)
    quarantined = {name for name, state in states(workspace).items() if state == "QUARANTINED"}
    assert quarantined == {*BAD, HUGE, OTHER_COLUMNS} - {*corrected}
    assert {states(workspace)[name] for name in corrected} <= {"PROMOTED", "REJECTED"}
    changed = reasons(workspace)[OTHER_COLUMNS]
    assert "SupportTickets" in changed
    assert "Tickets" in changed.replace("SupportTickets", "")
    assert not (workspace.root.parent / "escaped.csv").exists()


def wait_until_ended(workspace: Workspace, runs: int) -> None:
    """Until so many runs have ended, and no others go on."""
    ledger, own = LedgerView(workspace.root / "var" / "ledger.db"), bucket(workspace).as_uri()

    def have_ended() -> bool:
        return len([run for run in ledger.runs() if run.uri.startswith(own)]) >= runs and not ledger.unfinished()

    wait_until(have_ended, f"{runs} runs have ended", PATIENCE_S, every_s=0.5)


def require_reasons_that_people_can_read(workspace: Workspace) -> None:
    """One sentence each, with what is wrong."""
    told = reasons(workspace)
    for name, (_, word) in {**BAD, HUGE: (b"", "")}.items():
        assert word in told[name], told[name]
        assert 15 < len(told[name]) < 400
        assert "\n" not in told[name]
        assert "Traceback" not in told[name]
