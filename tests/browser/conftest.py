"""A real browser on a real server. Each page of a test must be free of errors at the end."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # no types
from django.conf import settings
from django.test import Client
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Response,
    expect,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from tests.builders import make_user
from users.models import User

WIDTHS = {"desktop": 1280, "phone": 390}  # CSS pixels
HEIGHT = 900
PATIENCE = 30_000  # milliseconds; Playwright's default for `expect` is short for a busy machine
# WCAG 2.1, levels A and AA.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]

# While a color changes, its contrast may be too low. An endless animation cannot be finished.
END_TRANSITIONS = """document.getAnimations().forEach(animation => {
    if (animation instanceof CSSTransition) animation.finish()
})"""

type Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    # Playwright runs an event loop in this thread, and Django refuses queries beside one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        with playwright.chromium.launch(executable_path=chromium, args=arguments) as browser:
            yield browser
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(params=["desktop", "phone"])
def width(request: pytest.FixtureRequest) -> int:
    return WIDTHS[request.param]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def editor(live_server: LiveServer) -> User:
    """A superuser. The password is tests.builders.PASSWORD."""
    return make_user("editor", is_staff=True, is_superuser=True)


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer) -> Iterator[Open]:
    """`open_page("/admin/", user=editor)` opens a path in a new window, with the session of the
    user. Options: `width`, `scheme` ("light" or "dark"), and those of Playwright's `new_context`.

    The test fails at its end if a page logged an error, broke a security policy, called another
    host or got a response of 500 or more. `page.expected` is a list of statuses: the browser logs
    each response from 400 on as an error, and these are not counted.
    """
    problems: list[str] = []
    contexts = []

    def open_page(
        path: str,
        *,
        user: User | None = None,
        width: int = WIDTHS["desktop"],
        scheme: Any = "light",
        expected: tuple[int, ...] = (),
        **options: Any,
    ) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            session = client.cookies[settings.SESSION_COOKIE_NAME].value
            cookie: Any = {"name": settings.SESSION_COOKIE_NAME, "value": session}
            context.add_cookies([cookie | {"url": live_server.url}])
        page = context.new_page()
        host = urlsplit(live_server.url).netloc

        def note_message(message: ConsoleMessage) -> None:
            # The words of Chromium and those of htmx.
            is_expected = any(
                f"status of {status}" in message.text or f"Error Code {status}" in message.text
                for status in expected
            )
            if message.type in ("error", "warning") and not is_expected:
                problems.append(f"{page.url}: {message.text}")

        page.on("console", note_message)
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        page.on(
            "request",
            lambda request: (
                problems.append(f"{page.url} calls {request.url}")
                if urlsplit(request.url).scheme in ("http", "https", "ws")
                and urlsplit(request.url).netloc != host
                else None
            ),
        )
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="session")
def accessible() -> Callable[[Page], None]:
    """Asserts that axe has no finding on the page."""

    def accessible(page: Page) -> None:
        page.evaluate(END_TRANSITIONS)
        results = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
        assert results.violations_count == 0, results.generate_report()

    return accessible


def fits(page: Page) -> bool:
    """Whether the page is not wider than the window."""
    wider: bool = page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    return not wider


class Visit(NamedTuple):
    """Opens pages of the site with or without JavaScript."""

    open_page: Open
    javascript: bool

    def open(self, path: str, user: User | None = None) -> Page:
        # One window for each of the two. test_site_pages shows all pages in all windows.
        width, scheme = (390, "dark") if self.javascript else (768, "light")
        return self.open_page(
            path,
            user=user,
            width=width,
            scheme=scheme,
            expected=(404, 422),  # deleted articles, and forms with errors
            java_script_enabled=self.javascript,
        )

    @contextmanager
    def same_document(self, page: Page) -> Iterator[None]:
        """With JavaScript, the actions in this context must not load the page again."""
        if self.javascript:
            page.evaluate("window.sameDocument = true")
        yield
        if self.javascript:
            assert page.evaluate("window.sameDocument"), "The page was loaded again."
            assert fits(page)


@pytest.fixture(params=["javascript", "plain"])
def visit(request: pytest.FixtureRequest, open_page: Open) -> Visit:
    """Runs a test with JavaScript and without it."""
    return Visit(open_page, javascript=request.param == "javascript")


def path_of(page: Page) -> str:
    """The address of the page, without the host."""
    return "/" + page.url.split("/", 3)[3]


def status_of(response: Response | None) -> int:
    assert response is not None
    return response.status


def send_form(page: Page, **fields: str) -> None:
    """Types into the fields of these names, and clicks the first submit button of the page."""
    for name, text in fields.items():
        page.fill(f"[name={name}]", text)
    page.click("button[type=submit]")
