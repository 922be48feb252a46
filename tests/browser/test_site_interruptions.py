"""What the site does when a person clicks twice, goes back, uses two windows, or loses the session
or the network."""

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, Route, expect

from articles.models import Article, Comment, Favorite
from tests.browser.conftest import Open, Visit, path_of, send_form
from tests.builders import PASSWORD, write_article, write_comment
from users.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TITLE = "How to train your dragon"
ARTICLE = "/article/how-to-train-your-dragon"


@pytest.fixture
def article(alice: User) -> Article:
    return write_article(alice, title=TITLE)


def hold(page: Page, address: str) -> Callable[[], None]:
    """Holds the first request to the address until the function that is returned is called."""
    held: list[Route] = []
    page.route(address, lambda route: held.append(route), times=1)

    def go_on() -> None:
        while not held:
            page.wait_for_timeout(10)
        held[0].continue_()

    return go_on


def test_a_double_click_posts_one_comment(open_page: Open, article: Article, charlie: User) -> None:
    page = open_page(ARTICLE, user=charlie)
    page.fill("textarea", "Thank you")

    page.dblclick('button:has-text("Post Comment")')
    expect(page.locator(".card-block").filter(has_text="Thank you")).to_have_count(1)
    page.reload()

    assert Comment.objects.count() == 1


def test_clicks_during_a_slow_request_count_once(
    open_page: Open, article: Article, charlie: User
) -> None:
    page = open_page(ARTICLE, user=charlie)
    go_on = hold(page, "**/favorite")
    button = page.locator('button:has-text("Favorite Article")').first
    button.click()
    button.click(force=True)
    go_on()

    expect(page.locator('button:has-text("Unfavorite Article")').first).to_contain_text("(1)")
    assert Favorite.objects.count() == 1


def test_a_request_that_fails_says_so_and_can_be_repeated(
    open_page: Open, article: Article, charlie: User
) -> None:
    page = open_page(ARTICLE, user=charlie, expected=(500, 503))
    page.fill("textarea", "Thank you")
    page.route("**/comments", lambda route: route.fulfill(status=503, body="unavailable"))
    page.click('button:has-text("Post Comment")')

    expect(page.locator("[role=alert], [role=status]").filter(has_text="again")).to_be_visible()
    expect(page.locator("textarea")).to_have_value("Thank you")
    page.unroute("**/comments")
    page.click('button:has-text("Post Comment")')
    expect(page.locator(".card-block").filter(has_text="Thank you")).to_have_count(1)


def test_a_comment_is_there_after_going_back(visit: Visit, article: Article, charlie: User) -> None:
    page = visit.open("/", user=charlie)
    page.locator("a.preview-link").click()
    page.fill("textarea", "Thank you")
    page.click('button:has-text("Post Comment")')
    expect(page.locator(".card-block").filter(has_text="Thank you")).to_be_visible()
    page.click("a.navbar-brand")
    page.wait_for_url("**/")

    page.go_back()

    expect(page.locator(".card-block").filter(has_text="Thank you")).to_have_count(1)
    expect(page.locator("textarea")).to_have_value("")
    assert Comment.objects.count() == 1


def test_a_person_who_logged_out_in_another_window_is_sent_to_the_login(
    visit: Visit, article: Article, charlie: User
) -> None:
    page = visit.open(ARTICLE, user=charlie)
    other = page.context.new_page()
    other.goto("/settings")
    other.click("button.btn-outline-danger")
    other.wait_for_url("**/")

    page.fill("textarea", "Thank you")
    page.click('button:has-text("Post Comment")')
    page.wait_for_url("**/login")
    send_form(page, email=charlie.email, password=PASSWORD)

    page.wait_for_url(f"**{ARTICLE}*")
    assert not Comment.objects.exists()


@pytest.mark.parametrize("action", ["Favorite Article", "Follow alice"])
def test_a_button_of_a_session_that_has_ended_leads_to_the_login(
    visit: Visit, article: Article, charlie: User, action: str
) -> None:
    page = visit.open(ARTICLE, user=charlie)
    Session.objects.all().delete()

    page.locator(f'button:has-text("{action}")').first.click()
    page.wait_for_url("**/login")
    send_form(page, email=charlie.email, password=PASSWORD)

    page.wait_for_url(f"**{ARTICLE}*")
    expect(page.locator(f'button:has-text("{action}")').first).to_be_visible()


def test_the_text_of_a_writer_whose_session_has_ended_is_not_lost(
    visit: Visit, alice: User
) -> None:
    page = visit.open("/editor", user=alice)
    page.fill("[name=title]", TITLE)
    page.fill("[name=description]", "Ever wonder how?")
    page.fill("[name=body]", "A long text")
    Session.objects.all().delete()

    page.click("button[type=submit]")
    page.wait_for_url("**/login")
    send_form(page, email=alice.email, password=PASSWORD)
    page.wait_for_url("**/editor")
    if not visit.javascript:
        # The browser has kept what was typed, because it may keep the page. The form itself is
        # invalid after the login.
        page.go_back()
        page.go_back()
        expect(page.locator("[name=body]")).to_have_value("A long text")
        return
    expect(page.locator("[name=body]")).to_have_value("A long text")
    page.click("button[type=submit]")
    page.wait_for_url(f"**{ARTICLE}")


def test_an_article_that_was_deleted_meanwhile(
    visit: Visit, article: Article, charlie: User
) -> None:
    page = visit.open(ARTICLE, user=charlie)
    article.delete()

    page.fill("textarea", "Thank you")
    page.click('button:has-text("Post Comment")')

    expect(page.get_by_text("not exist").or_(page.get_by_text("404")).first).to_be_visible()


def test_a_comment_that_was_deleted_in_another_window(
    visit: Visit, article: Article, charlie: User
) -> None:
    comment = write_comment(charlie, article, body="Thank you")
    page = visit.open(ARTICLE, user=charlie)
    comment.delete()

    page.locator("i.ion-trash-a").click()

    expect(page.locator(".card:not(.comment-form)")).to_have_count(0)


def test_a_browser_without_cookies_is_told_that_the_login_needs_them(
    open_page: Open, alice: User
) -> None:
    page = open_page("/login", expected=(403,))
    page.context.clear_cookies()
    send_form(page, email=alice.email, password=PASSWORD)

    expect(page.locator("main")).to_contain_text("cookies")
    assert path_of(page) == "/login"


def test_a_form_from_before_the_last_login_says_what_to_do(
    open_page: Open, article: Article, charlie: User
) -> None:
    page = open_page(ARTICLE, user=charlie, expected=(403,))
    other = page.context.new_page()
    other.goto("/settings")
    other.click("button.btn-outline-danger")
    other.wait_for_url("**/")
    other.goto("/login")
    send_form(other, email=charlie.email, password=PASSWORD)
    other.wait_for_url("**/")

    page.fill("textarea", "Thank you")
    page.click('button:has-text("Post Comment")')

    expect(page.locator("#failure")).to_contain_text("reload the page and send the form again")
    expect(page.locator("textarea")).to_have_value("Thank you")
