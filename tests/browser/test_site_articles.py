"""Articles and comments, in a browser with and without JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from articles.models import Article, Comment
from tests.browser.conftest import Visit, path_of, send_form, status_of
from tests.builders import write_article, write_comment
from users.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TITLE = "How to train your dragon"
ARTICLE = "/article/how-to-train-your-dragon"


def test_a_writer_writes_edits_and_deletes_an_article(visit: Visit, alice: User) -> None:
    page = visit.open("/", user=alice)
    page.click('a[href="/editor"]')
    page.wait_for_url("**/editor")
    page.fill("input[name=title]", TITLE)
    page.fill("input[name=description]", "Ever wonder how?")
    page.fill("textarea[name=body]", "It takes *time*.")
    add_tags(visit, page, "dragons", "training")
    page.click('button:has-text("Publish Article")')

    page.wait_for_url(f"**{ARTICLE}")
    expect(page.locator("h1")).to_have_text(TITLE)
    expect(page.locator(".article-content em")).to_have_text("time")
    for tag in ("dragons", "training"):
        expect(page.locator(f'.tag-list .tag-default:has-text("{tag}")')).to_be_visible()

    page.locator('a:has-text("Edit Article")').click()
    page.wait_for_url("**/editor/how-to-train-your-dragon")
    expect(page.locator("[name=title]")).to_have_value(TITLE)
    page.fill("textarea[name=body]", "It takes *luck*.")
    page.click("button[type=submit]")
    page.wait_for_url(f"**{ARTICLE}")
    expect(page.locator(".article-content")).to_have_text("It takes luck.")
    assert Article.objects.get().tag_names == ["dragons", "training"]

    page.locator('button:has-text("Delete Article")').first.click()
    page.wait_for_url("**/")
    expect(page.locator(".article-preview h1")).to_have_count(0)
    assert status_of(page.goto(ARTICLE)) == 404


def add_tags(visit: Visit, page: Page, *tags: str) -> None:
    field = page.locator('input[placeholder="Enter tags"]').first
    if not visit.javascript:
        field.fill(", ".join(tags))
        return
    for tag in (*tags, "a mistake"):
        field.fill(tag)
        field.press("Enter")
        expect(page.locator(".tag-pill", has_text=tag)).to_be_visible()
        expect(field).to_have_value("")
    assert path_of(page) == "/editor"
    page.locator(".tag-pill", has_text="a mistake").locator("i").click()
    expect(page.locator(".tag-pill")).to_have_count(len(tags))


def test_an_article_with_errors_keeps_what_was_typed(visit: Visit, alice: User) -> None:
    page = visit.open("/editor", user=alice)

    page.fill("textarea[name=body]", "A long text")
    add_tags(visit, page, "dragons")
    page.click("button[type=submit]")

    expect(page.locator("ul.error-messages li").first).to_have_text("title can't be blank")
    assert path_of(page) == "/editor"
    expect(page.locator("textarea[name=body]")).to_have_value("A long text")
    send_form(page, title=TITLE, description="x")
    page.wait_for_url(f"**{ARTICLE}")
    expect(page.locator(".tag-list .tag-default")).to_have_text(["dragons"])


def test_a_reader_comments_and_deletes_the_comment(
    visit: Visit, alice: User, charlie: User
) -> None:
    write_comment(alice, write_article(alice, title=TITLE), body="Mine")
    page = visit.open(ARTICLE, user=charlie)
    box = page.locator('textarea[placeholder="Write a comment..."]')
    expect(page.locator("i.ion-trash-a")).to_have_count(0)

    with visit.same_document(page):
        box.fill("Thank you")
        page.click('button:has-text("Post Comment")')
        expect(page.locator(".card-block").filter(has_text="Thank you")).to_be_visible()
        expect(box).to_have_value("")
    assert path_of(page).partition("#")[0] == ARTICLE

    with visit.same_document(page):
        card = page.locator(".card", has=page.locator("text=Thank you"))
        card.locator("span.mod-options i.ion-trash-a").click()
        expect(page.locator(".card:not(.comment-form)")).to_have_count(1)
    assert [comment.body for comment in Comment.objects.all()] == ["Mine"]


def test_a_comment_without_text_is_refused(visit: Visit, alice: User) -> None:
    write_article(alice, title=TITLE)
    page = visit.open(ARTICLE, user=alice)

    with visit.same_document(page):
        # Spaces: the browser itself refuses an empty field that is required.
        page.fill("textarea", "  ")
        page.click("button[type=submit]")
        expect(page.locator("ul.error-messages")).to_have_text("body can't be blank")

    page.fill("textarea", "Something")
    page.click("button[type=submit]")
    expect(page.locator(".card-block").filter(has_text="Something")).to_be_visible()
    expect(page.locator("ul.error-messages li")).to_have_count(0)
