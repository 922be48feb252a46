"""Lists, profiles, favorites and follows, in a browser with and without JavaScript."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from articles.models import Favorite
from profiles.models import Follow
from tests.browser.conftest import Visit, path_of, send_form
from tests.builders import PASSWORD, like, write_article
from users.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TITLE = "How to train your dragon"
ARTICLE = "/article/how-to-train-your-dragon"


def preview(page: Page, title: str) -> Locator:
    return page.locator(".article-preview").filter(has=page.locator("h1", has_text=title))


def titles(page: Page) -> list[str]:
    return page.locator(".article-preview h1").all_inner_texts()


def test_a_reader_favorites_in_a_list(visit: Visit, alice: User, charlie: User) -> None:
    like(alice, write_article(alice, title=TITLE))
    write_article(alice, title="Another one")
    page = visit.open("/", user=charlie)
    article = preview(page, TITLE)

    with visit.same_document(page):
        article.locator("button.btn-outline-primary").click()
        expect(article.locator("button.btn-primary")).to_have_text("2")
    assert Favorite.objects.filter(user=charlie).count() == 1
    expect(preview(page, "Another one").locator("button.btn-outline-primary")).to_have_text("0")

    with visit.same_document(page):
        article.locator("button.btn-primary").click()
        expect(article.locator("button.btn-outline-primary")).to_have_text("1")
    assert not Favorite.objects.filter(user=charlie).exists()
    assert path_of(page) == "/"


def test_a_reader_favorites_an_article_and_follows_its_author(
    visit: Visit, alice: User, charlie: User
) -> None:
    write_article(alice, title=TITLE)
    page = visit.open(ARTICLE, user=charlie)

    with visit.same_document(page):
        page.locator('button:has-text("Favorite Article")').first.click()
        expect(page.locator('button:has-text("Unfavorite Article")').first).to_contain_text("(1)")
        page.locator('button:has-text("Follow alice")').first.click()
        expect(page.locator('button:has-text("Unfollow alice")').first).to_be_visible()
    assert Favorite.objects.count() == Follow.objects.count() == 1
    # Buttons that stand on the page twice change together.
    expect(page.get_by_role("button", name="Favorite Article", exact=False)).to_have_text(
        [re.compile("Unfavorite Article")]
        * page.locator(".article-page button[formaction$=favorite]").count()
    )

    with visit.same_document(page):
        page.locator('button:has-text("Unfavorite Article")').first.click()
        expect(page.locator("button.btn-outline-primary").first).to_contain_text("(0)")
        page.locator('button:has-text("Unfollow alice")').first.click()
        # "Unfollow" has the text "follow" too.
        expect(page.locator('button:has-text("Unfollow alice")')).to_have_count(0)
    assert Favorite.objects.count() == Follow.objects.count() == 0
    assert path_of(page) == ARTICLE


def test_a_reader_follows_on_a_profile_and_reads_the_feed(
    visit: Visit, alice: User, charlie: User
) -> None:
    write_article(alice, title=TITLE)
    page = visit.open("/?feed=following", user=charlie)
    expect(page.locator(".empty-feed-message")).to_contain_text("Your feed is empty")

    page.goto("/profile/alice")
    with visit.same_document(page):
        page.locator('button:has-text("Follow alice")').click()
        expect(page.locator('button:has-text("Unfollow alice")')).to_be_visible()
    page.click("a.navbar-brand")
    page.locator("a.nav-link", has_text="Your Feed").click()

    page.wait_for_url("**/?feed=following")
    expect(page.locator(".article-preview h1")).to_have_text(TITLE)


@pytest.mark.parametrize("button", ["Favorite Article", "Follow alice"])
def test_a_stranger_who_clicks_a_button_logs_in_and_returns(
    visit: Visit, alice: User, charlie: User, button: str
) -> None:
    write_article(alice, title=TITLE)
    page = visit.open(ARTICLE)

    page.locator("main a", has_text=button).first.click()
    page.wait_for_url("**/login**")
    send_form(page, email=charlie.email, password=PASSWORD)

    page.wait_for_url(f"**{ARTICLE}")
    expect(page.locator(f'button:has-text("{button}")').first).to_be_visible()


def test_a_stranger_pages_through_a_list_and_goes_back_and_forward(
    visit: Visit, alice: User
) -> None:
    for number in range(1, 13):
        write_article(alice, title=f"Title {number}", tags=("caves",))
    page = visit.open("/")
    page.click(".sidebar .tag-pill")
    page.wait_for_url("**/tag/caves")

    with visit.same_document(page):
        page.locator(".page-link", has_text="2").click()
        page.wait_for_url("**/tag/caves?page=2")
        expect(page.locator(".article-preview h1")).to_have_text(["Title 2", "Title 1"])
        expect(page.locator(".page-item.active")).to_have_text("2")
        expect(page.locator(".feed-toggle a.nav-link.active")).to_contain_text("caves")
        if visit.javascript:
            # The link that had the focus is gone. Tab goes on in the new list.
            expect(page.locator("#list")).to_be_focused()

    page.go_back()
    page.wait_for_url("**/tag/caves")
    expect(page.locator(".article-preview h1").first).to_have_text("Title 12")
    page.go_back()
    page.wait_for_url("**/")
    expect(page.locator(".feed-toggle a.nav-link.active")).to_have_text("Global Feed")
    page.go_forward()
    page.go_forward()
    page.wait_for_url("**/tag/caves?page=2")
    expect(page.locator(".article-preview h1")).to_have_text(["Title 2", "Title 1"])

    page.locator(".article-preview").first.locator("a.preview-link").click()
    page.wait_for_url("**/article/title-2")
    page.go_back()
    page.wait_for_url("**/tag/caves?page=2")
    expect(page.locator(".article-preview h1")).to_have_text(["Title 2", "Title 1"])
    expect(page.locator("nav.navbar")).to_have_count(1)
    # The address can be sent to somebody else.
    assert titles(visit.open(path_of(page))) == ["Title 2", "Title 1"]


def test_a_reader_searches(visit: Visit, alice: User) -> None:
    write_article(alice, title=TITLE)
    write_article(alice, title="Cooking")
    page = visit.open("/")

    page.locator("nav.navbar").get_by_role("searchbox").fill("dragon")
    page.keyboard.press("Enter")

    page.wait_for_url("**/search?*dragon*")
    expect(page.locator(".article-preview h1")).to_have_text(TITLE)
    expect(page.locator("nav.navbar").get_by_role("searchbox")).to_have_value("dragon")
    assert titles(visit.open(path_of(page))) == [TITLE]


def test_a_reader_looks_at_what_a_person_wrote_and_likes(
    visit: Visit, alice: User, charlie: User
) -> None:
    write_article(alice, title=TITLE)
    like(alice, write_article(charlie, title="Of Charlie"))
    page = visit.open("/", user=charlie)
    preview(page, TITLE).locator("a.author").click()
    page.wait_for_url("**/profile/alice")
    expect(page.locator(".article-preview h1")).to_have_text(TITLE)

    with visit.same_document(page):
        page.locator("a.nav-link", has_text="Favorited Articles").click()
        page.wait_for_url("**/profile/alice/favorites")
        expect(page.locator(".article-preview h1")).to_have_text("Of Charlie")
        expect(page.locator("main a.nav-link.active")).to_have_text("Favorited Articles")

    page.go_back()
    page.wait_for_url("**/profile/alice")
    expect(page.locator(".article-preview h1")).to_have_text(TITLE)
    expect(page.locator("main a.nav-link.active")).to_have_text("My Articles")
