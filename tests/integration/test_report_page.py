"""The report in a real browser: on a phone and on a desk, light and dark, without network or JavaScript, by axe's rules."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.report.rendering import render_report
from tests.integration.manifests.tools import tool
from tests.unit.pipelines.test_report import DECIDED, HOSTILE, an_evaluation

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OpenPage = Callable[..., Any]
WIDTHS = (360, 1280)
PATIENCE_MS = 240_000


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, without a window."""
    program = tool("chromium", "chromium-browser", "google-chrome")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")
        chromium = playwright.chromium.launch(executable_path=program, args=arguments, timeout=PATIENCE_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: "Browser", tmp_path: Path) -> OpenPage:
    """Opens a report in a window of its own; a request for anything but the file, or a complaint, fails the test."""

    @contextmanager
    def open_page(column: str = "Contract", **window: Any) -> Iterator["Page"]:  # noqa: ANN401 - any property of a window
        file = tmp_path / "report.html"
        file.write_text(render_report(an_evaluation(column=column), DECIDED), encoding="utf-8")
        context = browser.new_context(**window)
        seen: list[str] = []
        try:
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.on("console", lambda message: seen.append(message.text))
            page.on("request", lambda request: seen.append(request.url))
            page.goto(file.as_uri())
            yield page
            assert seen == [file.as_uri()]
        finally:
            context.close()

    return open_page


@pytest.mark.parametrize("column", ["Contract", "a_column_with_a_name_that_is_much_longer_than_any_telephone_is_wide", HOSTILE])
def test_report_fits_the_window_and_everything_is_seen(opened: OpenPage, column: str) -> None:
    """Nothing is scrolled sideways; all six drawings have a size."""
    with opened(column, java_script_enabled=False) as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.title() == "churn 2025-02"
            drawings = page.get_by_role("img")
            assert drawings.count() == 6
            assert all(drawings.nth(at).bounding_box()["height"] > 100 for at in range(6))
            assert column in page.locator("main").inner_text()
            assert page.get_by_role("region", name="decision").inner_text() == "Rejected: champion version 7 stays"


def test_report_is_accessible(opened: OpenPage) -> None:
    """No rule of axe is broken, contrast included, in either colour scheme."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(viewport={"width": 360, "height": 800}) as page:
        for scheme, color in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page).response["violations"]
            assert [f"{each['id']}: {json.dumps(each['nodes'][0]['html'])}" for each in found] == []
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == color
