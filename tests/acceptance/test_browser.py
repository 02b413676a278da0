"""The status page of the real process in a real browser: what is read, seen, reached by keyboard, and found by axe."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest

from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.test_health import ask, has_status
from tests.emulators.processes import free_address
from tests.integration.manifests.tools import tool
from tests.integration.status_story import CUT_OFF, HOSTILE, a_night

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (360, 1280)
PATIENCE_MS = 240_000
LEFT = "net::ERR_ABORTED"
TOO_WIDE = """[...document.querySelectorAll("table")].filter(each => each.getBoundingClientRect().right
  > each.closest(".beside > div, section, main").getBoundingClientRect().right).map(each => each.caption.textContent)"""
ALONE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon with a past; MLflow does not answer, so nothing moves while somebody reads."""
    listen, nobody = free_address(), free_address()
    top = f'ledger = "sqlite:///ledger.db"\n[http]\nlisten = "{listen}"\n[mlflow]\ntracking_uri = "http://{nobody}"'
    workspace = Workspace(tmp_path_factory.mktemp("night"), top=top)
    a_night(workspace.root / "ledger.db", workspace.drops.as_uri()).ledger.close()
    workspace.start()
    try:
        has_status(listen, "/livez", 200)
        wait_until(lambda: "refused" in ask(listen, "/readyz")[1].get("parts", {}).get("mlflow", ""), "MLflow is missed")
        yield f"http://{listen}"
    finally:
        workspace.kill_tree()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium, without a window."""
    program = tool("chromium", "chromium-browser", "google-chrome")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=ALONE, timeout=PATIENCE_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: "Browser", address: str) -> Callable[..., Any]:
    """Opens a page of the daemon in a window of its own; whatever the browser complains of fails the test."""

    @contextmanager
    def open_page(path: str = "/", **window: Any) -> Iterator["Page"]:  # noqa: ANN401 - any property of a window
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **window})
        complaints: list[str] = []
        try:
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.on("console", lambda message: complaints.append(message.text))
            # whoever leaves a page breaks off what it was still loading
            page.on("requestfailed", lambda request: complaints.append(request.url) if request.failure != LEFT else None)
            page.goto(address + path)
            yield page
            assert complaints == []
        finally:
            context.close()

    return open_page


@pytest.mark.timeout(1800)
def test_status_page_is_for_everybody(opened: Callable[..., Any], address: str, tmp_path: Path) -> None:
    """Without JavaScript, on a telephone, by light and in the dark, by keyboard; one browser and one daemon show it all."""
    require_status_to_be_read_without_javascript(opened, tmp_path / "status.png")
    require_everything_to_have_its_place(opened, address, tmp_path / "narrow.png")
    for scheme in ("light", "dark"):
        require_axe_to_find_nothing(opened, scheme)
    require_everything_to_be_reached_by_keyboard(opened)
    require_page_to_load_again_by_itself(opened, address)


def require_status_to_be_read_without_javascript(opened: Callable[..., Any], picture: Path) -> None:
    """From what waits for a person to the quarantine; a name that is markup is a name."""
    with opened("/?refresh=off", java_script_enabled=False) as page:
        assert page.title().startswith("(3) Status")
        people = page.get_by_role("region", name="3 things wait for a person")
        assert "mlflow" in people.inner_text()
        assert "trainer-daemon approve churn-2026-01-" in people.inner_text()
        champion = page.get_by_role("region", name="churn").inner_text()
        assert "version 7 of 2025-11" in champion
        assert "2 runs, next 2026-02, 2026-03" in champion
        runs = page.get_by_role("table", name="The newest runs of churn")
        assert runs.get_by_role("row").count() == 11
        assert HOSTILE in runs.inner_text()
        assert page.get_by_role("table", name="Drops of churn that cannot be trained").get_by_text(CUT_OFF).is_visible()
        page.screenshot(path=picture, full_page=True)
        page.get_by_role("link", name="2025-11", exact=True).first.click()
        assert page.get_by_role("heading", level=1).inner_text().startswith("churn-2025-11-")
        story = page.get_by_role("region", name="What happened").inner_text()
        assert story.index("churn_data_2025_11.csv arrived") < story.index("version 7 became champion")
        assert "labels.run_key=" in page.get_by_role("region", name="Filter for Cloud Logging").inner_text()


def require_everything_to_have_its_place(opened: Callable[..., Any], address: str, picture: Path) -> None:
    """With everything unfolded no page scrolls sideways, and no table reaches over what is beside it, on any screen."""
    with opened("/?refresh=off", viewport={"width": 360, "height": 740}) as page:
        paths = ["/", "/runs", "/drops", "/champions", *_links(page, "runs/")[:1], *_links(page, "drops/")[:1]]
        for path in paths:
            page.goto(address + path)
            page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
            for width in (1280, 850, 360):
                page.set_viewport_size({"width": width, "height": 740})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
                assert page.evaluate(TOO_WIDE) == [], (path, width)
        page.screenshot(path=picture, full_page=True)


def _links(page: "Page", below: str) -> list[str]:
    """The paths of the links that lead below an address, on a page that is at the top."""
    links = page.locator(f"a[href*='{below}']").evaluate_all("all => all.map(each => each.pathname)")
    return list(dict.fromkeys(links))


def require_axe_to_find_nothing(opened: Callable[..., Any], scheme: str) -> None:
    """Contrast in light and in dark, names, roles, landmarks, headings; on the first page and on a run's, wide and narrow."""
    from axe_playwright_python.sync_playwright import Axe

    with opened("/?refresh=off", color_scheme=scheme) as page:
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(15, 19, 24)" if scheme == "dark" else "rgb(246, 247, 249)")
        for path in ("/", _links(page, "runs/")[0]):
            page.goto(urljoin(page.url, f"{path}?refresh=off"))
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                found = Axe().run(page)
                told = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found.response["violations"]]
                assert told == [], json.dumps(told, indent=1)


def require_everything_to_be_reached_by_keyboard(opened: Callable[..., Any]) -> None:
    """In the order in which it is read, each with a frame around it; the first stop skips to the content."""
    with opened("/?refresh=off") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert page.locator(".skip").bounding_box()["y"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        reached = []
        for _ in range(200):
            page.keyboard.press("Tab")
            at = page.evaluate(
                "(() => { const at = document.activeElement; const box = at.getBoundingClientRect();"
                " return [at.tagName, getComputedStyle(at).outlineStyle, box.top + scrollY, at.textContent.trim()] })()"
            )
            if at[0] == "BODY":
                break
            reached.append(at)
        stops = page.locator("main a:visible, main summary:visible, main [tabindex='0']:visible, footer a").count()
        assert len(reached) == stops
        assert {outline for _, outline, _, _ in reached} == {"solid"}
        assert next(name for tag, _, _, name in reached if tag == "SUMMARY") == "The same as a table"
        assert reached[-1][3] == "metrics"


def require_page_to_load_again_by_itself(opened: Callable[..., Any], address: str) -> None:
    """By a word of HTTP, and not once somebody stopped it: the link is before the content."""
    with opened() as page:
        assert page.locator("meta[http-equiv]").count() == 0
        page.get_by_role("link", name="stop").click()
        assert page.url == f"{address}/?refresh=off"
        assert page.request.get(page.url).headers.get("refresh") is None
        assert page.request.get(address).headers["refresh"]
