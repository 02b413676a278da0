"""Where a run was executed, wherever it is told: a run on Vertex AI has a page in the console."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import NOW
from tests.integration.cli.conftest import Call
from tests.integration.ledger_story import Storyteller
from trainer_daemon.commands.opening import open_session
from trainer_daemon.telemetry.vitals import Vitals
from trainer_daemon.web.pages import Pages

CONSOLE = "https://console.cloud.google.com/vertex-ai/locations/europe-west1/pipelines/runs"
SECTION = """
[orchestrator]
kind = "vertex"
project = "demo-project"
location = "europe-west1"
pipeline_root = "gs://artifacts/runs"
image = "trainer:1"
"""


@pytest.fixture
def links(folder: Path, past: Storyteller, call: Call) -> dict[str, str]:
    """The page of every run in the console, by the run's period, as `status --json` says it."""
    config = folder / "trainer.toml"
    config.write_text(config.read_text().replace("[[models]]", f"{SECTION}[[models]]"))
    (model,) = json.loads(call("status", "--json").out)["models"]
    assert past.model == model["name"]
    return {run["period"]: run["link"] for run in model["runs"] if run["orchestrator_run"]}


def test_every_run_that_began_has_its_page(links: dict[str, str]) -> None:
    """Whatever became of it."""
    assert {"2025-01", "2025-02", "2025-03", "2025-04", "2025-08"} <= set(links)
    assert all(link.startswith(f"{CONSOLE}/churn-{period}-") for period, link in links.items())
    assert all(link.endswith("-1?project=demo-project") for link in links.values())


@pytest.mark.parametrize("period", ["2025-02", "2025-03", "2025-07", "2025-08"])
def test_explain_names_the_page(call: Call, links: dict[str, str], period: str) -> None:
    """In text and in JSON; of a failed run also the command that shows its log."""
    answer = call("explain", period)
    assert f"Its page: {links[period]}\n" in answer.out
    assert ("gcloud logging read" in answer.out) == ("attempt 1 failed" in answer.out)
    (story,) = json.loads(call("explain", period, "--json").out)["stories"]
    assert story["link"] == links[period]


def test_what_never_began_has_none(call: Call, links: dict[str, str]) -> None:
    """A drop that waits, and runs on this machine."""
    assert "2025-10" not in links
    assert "Its page" not in call("explain", "2025-10").out
    assert json.loads(call("explain", "2025-10", "--json").out)["stories"][0]["link"] is None


def test_report_and_status_page_link_it(call: Call, links: dict[str, str], folder: Path) -> None:
    """By the run's name."""
    call("report", "2025-03", "--out", "march.html")
    link = f'href="{links["2025-03"]}"'
    assert link in (folder / "march.html").read_text()
    pages = Pages(open_session(folder / "trainer.toml"), Vitals(), lambda: NOW + timedelta(hours=2))
    name = links["2025-03"].removeprefix(f"{CONSOLE}/").partition("?")[0]
    assert link in pages.get(f"/runs/{name}", {}).html
    assert f'href="{links["2025-08"]}"' in pages.get("/", {}).html
