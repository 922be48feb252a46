"""The pages for errors, and what their policy stops."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from articles.markdown import ATTRIBUTES, TAGS, render
from tests.browser.conftest import Open, fits
from tests.rules.test_markdown import ADDED, PAYLOADS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = {"/bad": 400, "/forbidden": 403, "/no-such-page": 404, "/admin/bug": 500}


@pytest.fixture(autouse=True)
def pages_that_fail(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.rules.test_error_pages"
    settings.DEBUG = False


def test_the_pages_fit_and_are_accessible(
    open_page: Open, accessible: Callable[[Page], None], width: int, scheme: str
) -> None:
    page = open_page("/disconnected", width=width, scheme=scheme, expected=(*PAGES.values(), 503))
    for path in ("/disconnected", *PAGES):
        page.goto(path)
        assert page.locator("h1").count() == 1
        for size in (width, 320, 1600):
            page.set_viewport_size({"width": size, "height": 900})
            assert fits(page)
        page.set_viewport_size({"width": width, "height": 900})
        accessible(page)
        # The style sheet is not stopped by the policy.
        assert page.evaluate("getComputedStyle(document.body).marginTop") == "0px"


def test_the_links_lead_back(open_page: Open) -> None:
    page = open_page("/disconnected", expected=(503,))

    page.get_by_role("link", name="Try again").click()
    page.wait_for_url("**/disconnected")
    page.get_by_role("link", name="Go to the start page").click()
    page.wait_for_url("**/")

    assert page.locator("a.navbar-brand").inner_text() == "conduit"


@pytest.fixture
def page_without_checks(
    browser: Browser, live_server: LiveServer
) -> Iterator[Callable[[str], Page]]:
    """Opens a page. Unlike `open_page`, it does not fail when the policy stops something."""
    with browser.new_context(base_url=live_server.url) as context:

        def open_page(path: str) -> Page:
            page = context.new_page()
            page.goto(path)
            return page

        yield open_page


INJECT = """html => new Promise(resolve => {
    window.stopped = [];
    document.addEventListener("securitypolicyviolation",
                              event => window.stopped.push(event.effectiveDirective));
    document.body.innerHTML = html;
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    setTimeout(() => resolve([window.ran ?? false, window.stopped.sort()]), 300);
})"""


@pytest.mark.parametrize("path", ["/", "/no-such-page", "/admin/login/"])
def test_the_policy_stops_injected_scripts(
    page_without_checks: Callable[[str], Page], path: str
) -> None:
    page = page_without_checks(path)

    ran, stopped = page.evaluate(
        INJECT,
        "<img src='https://a.invalid/' onerror='window.ran = true'><base href='//b.invalid'>",
    )

    assert not ran
    assert {"script-src-attr", "script-src-elem", "base-uri"} <= {*stopped}


def test_browsers_see_only_allowed_elements_in_rendered_markdown(
    page_without_checks: Callable[[str], Page],
) -> None:
    """As the browser parses them, which the other tests of Markdown cannot tell."""
    page = page_without_checks("/")

    found = page.evaluate(
        """texts => texts.flatMap(text => {
            const document_ = new DOMParser().parseFromString(text, "text/html");
            return [...document_.querySelectorAll("head *, body *")]
                .map(element => [element.localName, element.namespaceURI,
                                 element.getAttributeNames(), element.protocol ?? ""]);
        })""",
        [render(payload) for payload in PAYLOADS],
    )

    assert len(found) > len(PAYLOADS)
    for tag, namespace, attributes, protocol in found:
        assert tag in TAGS
        assert namespace == "http://www.w3.org/1999/xhtml"
        assert {*attributes} <= ATTRIBUTES.get(tag, set()) | ADDED.get(tag, set())
        assert protocol in ("", ":", "http:", "https:", "mailto:", "about:")
