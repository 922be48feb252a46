"""Profiles and the follow button."""

from collections.abc import Callable

import pytest
from pytest_django import DjangoAssertNumQueries

from profiles.models import Follow
from tests.builders import follow, like, make_user, write_article
from tests.website.reader import Page, Reader
from users.models import User

BUTTON = "button[id^=follow-]"


def token_of(page: Page) -> str:
    return page.all("input[name=csrfmiddlewaretoken]")[0].attributes["value"] or ""


def test_a_profile_shows_the_person_and_what_they_wrote(
    stranger: Reader, alice: User, bob: User
) -> None:
    User.objects.filter(pk=alice.pk).update(bio="Writes.", image="https://example.com/a.png")
    write_article(alice, title="Mine")
    like(alice, write_article(bob, title="Liked"))

    page = stranger.open("/profile/alice")

    assert page.one(".profile-page .user-info h4").text() == "alice"
    assert page.one(".user-info p").text() == "Writes."
    assert page.one("img.user-img").attributes["src"] == "https://example.com/a.png"
    assert page.texts(".article-preview h1") == ["Mine"]
    assert page.texts(".nav-link.active") == ["My Articles"]
    assert stranger.open("/profile/alice/favorites").texts("h1") == ["Liked"]


def test_an_empty_bio_and_image_are_not_shown_as_null(stranger: Reader, alice: User) -> None:
    page = stranger.open("/profile/alice")

    assert page.one(".user-info p").text() == ""
    assert page.one("img.user-img").attributes["src"] == "/default-avatar.svg"
    assert page.texts(".empty-feed-message") == ["No articles are here... yet."]


def test_a_click_follows_and_unfollows(
    reader_for: Callable[[User], Reader], alice: User, charlie: User
) -> None:
    reader = reader_for(charlie)

    followed = reader.submit(reader.open("/profile/alice/favorites"), BUTTON)

    assert followed.path == "/profile/alice/favorites"
    assert followed.one(BUTTON).text(strip=False).split() == ["Unfollow", "alice"]
    assert Follow.objects.filter(follower=charlie, followed=alice).exists()

    unfollowed = reader.submit(followed, BUTTON)

    assert unfollowed.one(BUTTON).text(strip=False).split() == ["Follow", "alice"]
    assert not Follow.objects.filter(follower=charlie).exists()


def test_htmx_gets_the_new_button_alone(
    reader_for: Callable[[User], Reader], alice: User, charlie: User
) -> None:
    reader = reader_for(charlie)
    form = {"csrfmiddlewaretoken": token_of(reader.open("/profile/alice"))}

    answer = Page(reader.post("/profile/alice/follow", form, headers={"HX-Request": "true"}))

    assert "<html" not in answer.html
    assert answer.one(BUTTON).attributes["hx-post"] == "/profile/alice/unfollow"


def test_ones_own_profile_leads_to_the_settings(
    reader_for: Callable[[User], Reader], alice: User
) -> None:
    page = reader_for(alice).open("/profile/alice")

    assert page.one(".user-info a[href='/settings']").text() == "Edit Profile Settings"
    assert page.all(BUTTON) == []


def test_nobody_follows_themselves(reader_for: Callable[[User], Reader], alice: User) -> None:
    write_article(alice)
    reader = reader_for(alice)
    form = {"csrfmiddlewaretoken": token_of(reader.open("/"))}

    assert reader.post("/profile/alice/follow", form).status_code == 400


def test_charlie_cannot_end_what_bob_follows(
    reader_for: Callable[[User], Reader], alice: User, bob: User, charlie: User
) -> None:
    reader = reader_for(charlie)
    form = {"csrfmiddlewaretoken": token_of(reader.open("/profile/alice"))}

    reader.post("/profile/alice/unfollow", form)

    assert Follow.objects.filter(follower=bob, followed=alice).exists()


def test_the_button_of_a_stranger_leads_to_the_login_and_back(
    stranger: Reader, alice: User
) -> None:
    link = stranger.open("/profile/alice").one(".user-info a.btn")

    assert link.attributes["href"] == "/login?next=/profile/alice"


@pytest.mark.parametrize("path", ["/profile/nobody", "/profile/a%00", "/profile/hidden"])
def test_an_unknown_person_has_no_profile(stranger: Reader, path: str, alice: User) -> None:
    make_user("hidden", hidden_at=alice.created_at)

    stranger.open(path, status=404)
    stranger.open(f"{path}/favorites", status=404)


def test_a_name_is_found_in_each_unicode_form(stranger: Reader, db: None) -> None:
    make_user("andré.+")

    for spelling in ("andré.+", "andre\u0301.+"):
        page = stranger.open(f"/profile/{spelling}")
        assert page.one(".user-info h4").text() == "andré.+"
        assert page.all(".nav-link[href='/profile/andr%C3%A9.+/favorites']")


@pytest.mark.parametrize("path", ["/profile/alice", "/profile/bob/favorites"])
@pytest.mark.parametrize("rows", [1, 20])
def test_it_runs_four_queries(
    reader_for: Callable[[User], Reader],
    stranger: Reader,
    alice: User,
    bob: User,
    charlie: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    path: str,
    rows: int,
) -> None:
    for _ in range(rows):
        like(bob, write_article(alice, tags=("one", "two")))
    follow(charlie, alice)
    reader = reader_for(charlie)

    with django_assert_num_queries(2):  # the person, the articles
        stranger.open(path)
    with django_assert_num_queries(4):  # the session, the reader, the person, the articles
        reader.open(path)
