"""Moderation in the admin, in a browser."""

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from articles.models import Article, Tag
from tests.browser.conftest import Open, fits
from tests.builders import write_article, write_comment
from tests.client import ApiClient
from users.models import User

pytestmark = pytest.mark.browser


@pytest.fixture
def articles(alice: User, bob: User) -> list[Article]:
    articles = [write_article(alice, title=f"About dragons {n}", tags=("java",)) for n in range(3)]
    write_comment(bob, articles[0], body="Buy <b>watches</b> at example.com")
    return articles


def press(page: Page, name: str) -> None:
    """Presses a button of the page of a row. On a phone, it is in a menu."""
    link = page.get_by_role("link", name=name, exact=True)
    if not link.is_visible():
        page.get_by_text("more_horiz").click()
    link.click()


def titles() -> list[str]:
    return [each["title"] for each in ApiClient().get("/api/articles").json()["articles"]]


def test_an_article_is_hidden_and_restored(
    open_page: Open, editor: User, articles: list[Article], width: int
) -> None:
    path = reverse("admin:articles_article_change", args=[articles[0].pk])
    page = open_page(path, user=editor, width=width)

    press(page, "Hide")
    expect(page.get_by_role("heading", name="Hide 1 article?")).to_be_visible()
    page.get_by_label("Reason").fill("Spam")
    page.get_by_role("button", name="Hide 1 article").click()

    expect(page.get_by_text("Hidden: 1 article.")).to_be_visible()
    assert titles() == ["About dragons 2", "About dragons 1"]
    press(page, "Restore")
    page.get_by_role("button", name="Restore 1 article").click()
    expect(page.get_by_text("Restored: 1 article.")).to_be_visible()
    assert len(titles()) == 3


def test_selected_comments_are_hidden_and_the_page_leads_back(
    open_page: Open, editor: User, articles: list[Article]
) -> None:
    page = open_page("/admin/articles/comment/", user=editor)

    def choose() -> None:
        page.get_by_label("Select record").last.check()
        page.locator("select[name=action]").select_option("hide")
        page.get_by_role("button", name="Run", exact=True).click()

    choose()
    expect(page.get_by_text("Buy <b>watches</b> at example.com")).to_be_visible()
    page.get_by_role("link", name="Back, change nothing").click()
    assert page.url.endswith("/admin/articles/comment/")
    choose()
    page.keyboard.press("Tab")
    page.get_by_label("Reason").press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Hidden: 1 comment.")).to_be_visible()
    answer = ApiClient().get(f"/api/articles/{articles[0].slug}/comments").json()
    assert answer == {"comments": []}


def test_a_user_is_suspended_with_their_content_and_restored(
    open_page: Open, editor: User, articles: list[Article], alice: User
) -> None:
    path = reverse("admin:users_user_change", args=[alice.pk])
    page = open_page(path, user=editor)

    press(page, "Suspend")
    page.get_by_label("Hide their profiles, articles and comments too").check()
    page.get_by_role("button", name="Suspend 1 user").click()

    expect(page.get_by_text("Suspended: 1 user.")).to_be_visible()
    assert titles() == []
    assert ApiClient(alice).get("/api/user").status_code == 401
    press(page, "Restore")
    page.get_by_role("button", name="Restore 1 user").click()
    expect(page.get_by_text("Restored: 1 user.")).to_be_visible()
    assert len(titles()) == 3


def test_a_tag_is_renamed_to_another_by_a_merge(
    open_page: Open, editor: User, articles: list[Article]
) -> None:
    Tag.objects.create(name="javascript")
    path = reverse("admin:articles_tag_change", args=[Tag.objects.get(name="java").pk])
    page = open_page(path, user=editor)

    page.locator("input[name=name]").fill("javascript")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Merge this tag into it").click()
    page.get_by_role("button", name="Merge 1 tag").click()

    expect(page.get_by_text("Merged into “javascript”: 1 tag.")).to_be_visible()
    assert ApiClient().get("/api/tags").json() == {"tags": ["javascript"]}


def test_selected_articles_are_deleted_and_the_audit_log_says_so(
    open_page: Open, editor: User, articles: list[Article], width: int
) -> None:
    page = open_page("/admin/articles/article/", user=editor, width=width)

    for record in page.get_by_label("Select record").all()[-2:]:
        record.check()
    page.locator("select[name=action]").select_option("delete_selected")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("Taggings: 2")).to_be_visible()
    page.get_by_label("Reason").fill("<b>Spam</b>")
    page.get_by_role("button", name="Delete 2 articles").click()

    expect(page.get_by_text("Successfully deleted 2 articles.")).to_be_visible()
    assert Article.objects.count() == 1
    page.goto("/admin/users/auditentry/")
    expect(page.get_by_text("<b>Spam</b>")).to_have_count(2)
    expect(page.get_by_text("Deleted", exact=True).first).to_be_visible()
    assert fits(page)


def test_the_confirmation_pages_are_accessible(
    open_page: Open,
    editor: User,
    articles: list[Article],
    alice: User,
    accessible: Callable[[Page], None],
    width: int,
    scheme: str,
) -> None:
    page = open_page("/admin/users/auditentry/", user=editor, width=width, scheme=scheme)
    for path in (
        reverse("admin:users_user_action", args=[alice.pk, "suspend"]),
        reverse("admin:users_user_action", args=[editor.pk, "suspend"]),  # is not possible
        reverse("admin:articles_tag_action", args=[Tag.objects.get().pk, "merge"]),
        reverse("admin:articles_article_delete", args=[articles[0].pk]),
    ):
        page.goto(path)
        accessible(page)
        assert fits(page)
