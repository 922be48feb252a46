"""What the members of the groups "moderator" and "editor" see, in a browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from articles.models import Article
from tests.browser.conftest import Open, fits
from tests.builders import make_group, make_staff, make_superuser, make_user, write_article
from tests.groups import group
from users.models import User

pytestmark = pytest.mark.browser


@pytest.fixture
def article(live_server: LiveServer) -> Article:
    alice = make_user("alice", is_staff=True, bio="Reads a lot")
    alice.groups.add(make_group("writers", "change_article"))
    return write_article(alice, title="How to train your dragon")


def test_a_moderator_reads_everything_and_edits_nothing(
    open_page: Open, article: Article, width: int, accessible: Callable[[Page], None]
) -> None:
    moderator = make_staff("moderator", groups=(group("moderator"),))
    page = open_page("/admin/", user=moderator, width=width)
    links = page.locator("a[href^='/admin/']").evaluate_all("all => all.map(a => a.pathname)")
    assert {"/admin/articles/article/", "/admin/users/user/"} <= {*links}
    assert not [link for link in links if link.startswith("/admin/auth/") or "/add/" in link]

    page.goto(f"/admin/users/user/{article.author_id}/change/")
    main = page.locator("#content")
    expect(main).to_contain_text("Reads a lot")
    for hidden in ("writers", "argon2", "Superuser status", "User permissions"):
        expect(main).not_to_contain_text(hidden)
    expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    accessible(page)
    assert fits(page)

    page.goto(f"/admin/articles/article/{article.pk}/change/")
    expect(page.locator("#content")).to_contain_text("How to train your dragon")
    expect(page.locator("#content input[type=text]:visible")).to_have_count(0)


def test_an_editor_edits_articles_and_no_users(
    open_page: Open, article: Article, width: int, accessible: Callable[[Page], None]
) -> None:
    editor = make_staff("editor", groups=(group("editor"),))
    page = open_page(f"/admin/articles/article/{article.pk}/change/", user=editor, width=width)

    page.locator("#id_title").fill("How to tame your dragon")
    page.locator("button[name=_save], input[name=_save]").last.click()

    expect(page).to_have_url(re.compile("/admin/articles/article/"))
    expect(page.locator("#content")).to_contain_text("How to tame your dragon")
    article.refresh_from_db()
    assert article.title == "How to tame your dragon"
    page.goto(f"/admin/users/user/{article.author_id}/change/")
    expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    accessible(page)


def test_the_form_of_a_user_says_what_cannot_be_given(
    open_page: Open, article: Article, width: int, accessible: Callable[[Page], None]
) -> None:
    make_group("publishers", "delete_article")
    editor = make_staff("people", "change_user", "view_user", "change_article")
    page = open_page(f"/admin/users/user/{article.author_id}/change/", user=editor, width=width)

    expect(page.locator("#id_is_superuser")).to_be_disabled()
    expect(page.locator("#content")).to_contain_text("Only superusers can change this.")
    expect(page.locator("#content")).not_to_contain_text("publishers")
    accessible(page)
    assert fits(page)

    page.goto(f"/admin/users/user/{make_superuser('root').pk}/change/")
    expect(page.locator("#id_email")).to_have_count(0)
    page.goto(f"/admin/users/user/{editor.pk}/change/")
    expect(page.locator("#id_is_active")).to_be_disabled()
    page.locator("#id_bio").fill("Edits people")
    page.locator("button[name=_save]:visible, input[name=_save]:visible").last.click()
    expect(page).to_have_url(re.compile("/admin/users/user/$"))
    assert User.objects.get(pk=editor.pk).bio == "Edits people"
