"""Writing articles and comments on the site."""

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from articles.models import Article, Comment
from tests.browser.conftest import Open
from tests.builders import PASSWORD, make_user, write_article, write_comment
from users.models import User
from website.views.articles import COMMENTS_PER_PAGE

pytestmark = pytest.mark.browser

TEXT = "\n\n# سلم\n\nمرحب\n\n> A quote\n\n" + "x" * 300 + "\n\n|a|b|\n|-|-:|\n|c|d|\n"


@pytest.fixture
def writer(live_server: LiveServer) -> User:
    return make_user("writer")


@pytest.fixture
def article(writer: User) -> Article:
    return write_article(writer, title="Long" * 40, body=TEXT, tags=("a, b", "c d", "<e>"))


def pills(page: Page) -> list[str]:
    return page.locator(".tag-list .tag-pill").all_inner_texts()


def test_enter_and_a_comma_add_tags_and_a_click_removes_one(open_page: Open, writer: User) -> None:
    page = open_page("/editor", user=writer)
    page.fill("[name=title]", "A title")
    page.fill("[name=description]", "What it is about")
    page.fill("[name=body]", "\n\nOne\n\ntwo")
    tags = page.get_by_placeholder("Enter tags")

    tags.fill(" one ")
    tags.press("Enter")
    tags.press_sequentially("two,three,one,")
    tags.press("Enter")
    assert pills(page) == ["one", "two", "three"]
    assert page.url.endswith("/editor")
    assert tags.input_value() == ""
    page.locator(".tag-pill i").nth(1).click()
    assert pills(page) == ["one", "three"]
    expect(tags).to_be_focused()
    expect(page.locator(".tag-input [role=status]")).to_have_text("Removed two")
    tags.fill("last")  # without Enter
    page.get_by_role("button", name="Publish Article").click()

    page.wait_for_url("**/article/a-title")
    stored = Article.objects.get()
    assert (stored.body, stored.tag_names) == ("\n\nOne\n\ntwo", ["last", "one", "three"])


@pytest.mark.parametrize("javascript", [True, False])
def test_an_article_that_is_not_edited_does_not_change(
    open_page: Open, writer: User, article: Article, javascript: bool
) -> None:
    before = Article.objects.values().get()
    page = open_page(f"/editor/{article.slug}", user=writer, java_script_enabled=javascript)

    page.get_by_role("button", name="Publish Article").click()

    page.wait_for_url("**/article/*")
    assert Article.objects.values().get() == before


def test_without_javascript_a_box_removes_a_tag(
    open_page: Open, writer: User, article: Article
) -> None:
    page = open_page(f"/editor/{article.slug}", user=writer, java_script_enabled=False)

    page.get_by_label("a, b").uncheck()
    page.get_by_placeholder("Enter tags").fill("f, g")
    page.get_by_role("button", name="Publish Article").click()

    page.wait_for_url("**/article/*")
    assert Article.objects.get().tag_names == ["<e>", "c d", "f", "g"]


def test_the_text_is_kept_if_the_session_has_ended(
    open_page: Open, writer: User, article: Article
) -> None:
    page = open_page(f"/editor/{article.slug}", user=writer)
    page.fill("[name=title]", "A new title")
    page.get_by_placeholder("Enter tags").fill("f")
    page.locator(".tag-pill", has_text="<e>").get_by_role("button").click()
    Article.objects.update(description="Changed meanwhile")
    Session.objects.all().delete()

    page.get_by_role("button", name="Publish Article").click()
    page.wait_for_url("**/login")
    page.fill("[name=email]", writer.email)
    page.fill("[name=password]", PASSWORD)
    page.locator("main button[type=submit]").click()
    page.wait_for_url(f"**/editor/{article.slug}")
    expect(page.locator("[name=title]")).to_have_value("A new title")
    expect(page.get_by_role("status").first).to_have_text(
        "Your text was not saved. The form contains it again."
    )
    assert pills(page) == ["a, b", "c d"]
    expect(page.get_by_placeholder("Enter tags")).to_have_value("f")
    page.get_by_role("button", name="Publish Article").click()

    page.wait_for_url("**/article/a-new-title")
    article.refresh_from_db()
    assert (article.description, article.tag_names) == ("Changed meanwhile", ["a, b", "c d", "f"])
    assert page.evaluate("sessionStorage.getItem('draft')") is None


def test_comments_are_written_and_deleted_without_a_reload(
    open_page: Open, writer: User, article: Article
) -> None:
    write_comment(writer, article, body="Before")
    page = open_page(f"/article/{article.slug}", user=writer, expected=(422,))
    box = page.get_by_placeholder("Write a comment...")
    page.evaluate("window.isSamePage = true")

    page.get_by_role("button", name="Post Comment").click()
    expect(page.locator(".comment-form .error-messages")).to_have_text("body can't be blank")
    expect(page.locator(".error-messages")).to_be_focused()
    box.fill("<b>One</b>\ntwo")
    page.get_by_role("button", name="Post Comment").click()
    expect(page.locator(".card-text").first).to_have_text("<b>One</b>\ntwo")
    expect(box).to_have_value("")
    expect(page.get_by_role("status")).to_have_text("Your comment was posted.")
    expect(page.locator(".error-messages")).to_have_count(0)
    page.locator("i.ion-trash-a").nth(1).click()
    expect(page.locator(".card-text")).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text("The comment was deleted.")
    expect(page.locator("#comments")).to_be_focused()

    assert page.evaluate("window.isSamePage")
    assert Comment.objects.get().body == "<b>One</b>\ntwo"


def test_older_comments_are_shown_without_a_reload(
    open_page: Open, writer: User, article: Article
) -> None:
    for number in range(COMMENTS_PER_PAGE + 1):
        write_comment(writer, article, body=f"Comment {number}")
    page = open_page(f"/article/{article.slug}", user=writer)
    page.evaluate("window.isSamePage = true")

    page.get_by_role("link", name="Older comments").click()
    expect(page.locator(".card-text")).to_have_text(["Comment 0"])
    assert page.url.endswith("?page=2#comments")
    page.get_by_placeholder("Write a comment...").fill("New")
    page.get_by_role("button", name="Post Comment").click()
    expect(page.locator(".card-text")).to_have_text(["New", "Comment 0"])
    assert page.evaluate("window.isSamePage")

    page.go_back()
    expect(page.locator(".card-text")).to_have_count(COMMENTS_PER_PAGE)
    expect(page.locator(".card-text").first).to_have_text("New")
    page.reload()
    expect(page.locator(".card-text").first).to_have_text("New")
