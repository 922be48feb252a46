"""The pool page, in a browser."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import HEIGHT, PATIENCE, Open, fits
from tests.database.application import Application, serving
from tests.database.load import ask
from tests.database.operators import SESSION, add_operator
from tests.database.servers import PostgreSQL, migrated
from tests.stalls import assert_within, repeated_if_stalled
from users.models import User

pytestmark = pytest.mark.browser

PAGE = "/admin/database/"


def test_it_can_be_read(
    open_page: Open, editor: User, width: int, scheme: str, accessible: Callable[[Page], None]
) -> None:
    page = open_page(PAGE, user=editor, width=width, scheme=scheme)

    chart = page.get_by_role("img", name=re.compile("^Connections in the last five minutes"))
    for name in ("in-use", "idle", "max"):
        # The first of its parts: a line has gaps where the machine was stalled.
        expect(chart.locator(f"polyline.pool-{name}").first).to_be_attached()
    expect(page.get_by_role("heading", name="Clients of the database")).to_be_visible()
    assert fits(page)
    accessible(page)
    # Lines differ without their colors. In one step, because each refresh replaces the chart.
    dashes = page.evaluate(
        """() => {
            const lines = 'svg[aria-label^="Connections in the last five minutes"] polyline';
            return [...document.querySelectorAll(lines)].map(line => {
                const style = getComputedStyle(line);
                return style.strokeDasharray + style.strokeWidth;
            });
        }"""
    )
    assert len({*dashes}) == 3


def test_its_figures_change_without_a_reload(open_page: Open, editor: User) -> None:
    page = open_page(PAGE, user=editor)
    page.evaluate("document.body.dataset.loaded = 'once'")
    summary = page.locator("summary", has_text="Connections")
    summary.click()

    connection.close()
    connection.ensure_connection()  # held from here on

    held = page.locator("[data-section=held]")
    expect(held).to_contain_text("tests/browser/test_pool_page.py")
    expect(page.get_by_text("Refreshed every few seconds.")).to_be_visible()
    assert page.evaluate("document.body.dataset.loaded") == "once"
    # What the reader has opened and focused stays so.
    expect(summary).to_be_focused()
    expect(page.locator("details[open]")).to_have_count(1)


def test_the_refresh_can_be_paused(open_page: Open, editor: User) -> None:
    page = open_page(PAGE, user=editor)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused.")).to_be_visible()
    before = page.locator(".pool-time").inner_text()
    page.wait_for_timeout(3_000)

    assert page.locator(".pool-time").inner_text() == before
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".pool-time")).not_to_have_text(before)


def test_it_can_be_read_without_scripts(open_page: Open, editor: User) -> None:
    page = open_page(PAGE, user=editor, java_script_enabled=False)

    assert "Clients of the database" in page.content()
    assert page.locator("#pool-pause").get_attribute("hidden") is not None


def test_it_says_when_the_reader_is_logged_out(open_page: Open, editor: User) -> None:
    page = open_page(PAGE, user=editor)
    page.context.clear_cookies()

    expect(page.get_by_text("You are logged out.")).to_be_visible()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated() as server:
        add_operator(server)
        yield server


@pytest.fixture(scope="module")
def site(server: PostgreSQL) -> Iterator[Application]:
    with serving(server.url(), {"DEBUG": "on"}, workers=2) as site:
        yield site


@repeated_if_stalled
def test_an_open_page_shows_an_outage_and_its_end(
    browser: Browser,
    site: Application,
    server: PostgreSQL,
    accessible: Callable[[Page], None],
) -> None:
    url = f"http://127.0.0.1:{site.port}"
    size: Any = {"width": 390, "height": HEIGHT}
    context = browser.new_context(base_url=url, viewport=size, color_scheme="dark")
    context.add_cookies([{"name": "sessionid", "value": SESSION, "url": url}])
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.set_default_timeout(PATIENCE)
    page.goto(PAGE)
    expect(page.get_by_text("No problem is known.")).to_be_visible()

    server.stop("immediate")
    try:
        expect(page.get_by_text("The database does not answer")).to_be_visible()
        ask(site.port, "/api/tags")  # an idle process notices an outage after 10 s
        expect(page.get_by_text("not over")).to_be_visible()
        started = time.monotonic()
        page.reload()
        seconds = time.monotonic() - started
        expect(page.get_by_text("The database does not answer")).to_be_visible()
        expect(page.get_by_role("heading", name="Database", exact=True)).to_be_visible()
        assert fits(page)
        accessible(page)
    finally:
        server.start()

    expect(page.get_by_text("The database does not answer")).not_to_be_visible()
    assert problems == []
    context.close()
    assert_within(seconds, 3)
