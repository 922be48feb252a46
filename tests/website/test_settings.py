"""The settings of one's own account."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.builders import PASSWORD
from tests.client import ApiClient
from tests.website.reader import Page, Reader
from users import tokens
from users.models import User

BUTTON = "main button[type=submit]"
NEW = "another horse"


@pytest.fixture
def reader(reader_for: Callable[[User], Reader], alice: User) -> Reader:
    """Alice's browser."""
    return reader_for(alice)


def save(reader: Reader, **values: str) -> Any:
    """The answer to the form, before redirects."""
    page = reader.open("/settings")
    fields = {
        field.attributes["name"] or "": (field.attributes.get("value") or "").replace("\n", "")
        for field in page.one("main form:has(textarea)").css("input")
    }
    fields["bio"] = page.one("textarea").text().replace("\n", "\r\n")
    return reader.post("/settings", fields | values)


def is_logged_in(reader: Reader) -> bool:
    return reader.get("/settings").status_code == 200


def test_the_page_shows_what_is_stored(reader: Reader, alice: User) -> None:
    alice.bio, alice.image = "\nOne\nTwo", "https://example.com/a.png"
    alice.save()

    page = reader.open("/settings")

    assert page.one("h1").text() == "Your Settings"
    assert page.texts("button") == ["Update Settings", "Or click here to logout."]
    for name in ("image", "username", "email"):
        assert page.one(f"input[name={name}]").attributes["value"] == getattr(alice, name)
    assert page.one("textarea[name=bio]").text() == alice.bio
    assert "value" not in page.one("input[name=password]").attributes


def test_saving_leads_to_the_profile(reader: Reader, alice: User) -> None:
    answer = save(
        reader,
        image="https://example.com/a.png",
        username="alice2",
        bio="One\r\nTwo",
        email="alice2@example.com",
    )

    assert (answer.status_code, answer["Location"]) == (303, "/profile/alice2")
    alice.refresh_from_db()
    assert alice.image == "https://example.com/a.png"
    assert (alice.username, alice.email) == ("alice2", "alice2@example.com")
    assert alice.bio == "One\nTwo"
    assert alice.check_password(PASSWORD)
    assert is_logged_in(reader)


def test_the_next_page_says_that_it_is_saved(reader: Reader) -> None:
    for values, message in (
        ({"bio": "New"}, "Your settings are saved."),
        ({"password": NEW}, "Your settings are saved. You are logged out everywhere else."),
    ):
        page = reader.open(save(reader, **values)["Location"])
        assert page.texts(".message") == [message]
        assert reader.open("/").all(".message") == []


def test_a_field_that_was_not_sent_is_not_changed(reader: Reader, alice: User) -> None:
    reader.handler.enforce_csrf_checks = False

    assert reader.post("/settings", {"bio": "New"}).status_code == 303

    alice.refresh_from_db()
    assert (alice.bio, alice.email) == ("New", "alice@example.com")


def test_an_emptied_bio_and_image_are_null(reader: Reader, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(bio="I write", image="https://example.com/a.png")

    save(reader, bio="", image="")

    alice.refresh_from_db()
    assert (alice.bio, alice.image) == (None, None)
    page = reader.open("/settings")
    assert page.one("textarea").text().strip() == ""
    assert not page.one("input[name=image]").attributes.get("value")


@pytest.mark.parametrize("bio", ["One\r\nTwo", "One\rTwo\n", "\n\n  Indented\n", " "])
def test_an_unchanged_form_writes_nothing(reader: Reader, alice: User, bio: str) -> None:
    # The name and the picture are older than the rules.
    User.objects.filter(pk=alice.pk).update(
        bio=bio, image="data:image/png;base64,AA\nAA", username="a lice", username_folded="a lice"
    )

    with CaptureQueriesContext(connection) as queries:
        answer = save(reader)

    assert answer["Location"] == "/profile/a%20lice"
    assert [q["sql"] for q in queries if q["sql"].startswith("UPDATE")] == []
    alice.refresh_from_db()
    assert (alice.bio, alice.image) == (bio, "data:image/png;base64,AA\nAA")


def test_only_changed_fields_are_written(reader: Reader, alice: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        save(reader, bio="I write")

    (update,) = [q["sql"] for q in queries if q["sql"].startswith("UPDATE")]
    assert update.startswith("""UPDATE "users_user" SET "bio" = 'I write' WHERE""")


def test_an_old_window_undoes_no_change_of_another(reader: Reader, alice: User) -> None:
    old = reader.open("/settings")
    save(reader, bio="New", email="new@example.com")

    button, image = "main .btn-primary", "https://example.com/a.png"
    page = reader.submit(old, button, status=422, image=image, username="")
    reader.submit(page, button, username="alice2")

    alice.refresh_from_db()
    assert (alice.bio, alice.email) == ("New", "new@example.com")
    assert (alice.image, alice.username) == (image, "alice2")


def test_errors_keep_what_was_typed(reader: Reader, alice: User, bob: User) -> None:
    page = Page(save(reader, username="BOB", bio="New\r\nlines", password=NEW))

    assert page.status == 422
    assert page.texts(".error-messages li") == ["username has already been taken"]
    assert page.one("input[name=username]").attributes["value"] == "BOB"
    assert page.one("textarea").text() == "New\nlines"
    assert NEW not in page.html
    # The bar shows the person as they are stored.
    assert page.all('a.nav-link[href="/profile/BOB"]') == []
    alice.refresh_from_db()
    assert (alice.username, alice.bio) == ("alice", None)
    assert alice.check_password(PASSWORD)
    assert is_logged_in(reader)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"email": ""}, "email can't be blank"),
        ({"username": " "}, "username can't be blank"),
        ({"email": "alice"}, "email is invalid"),
        ({"password": "short"}, "password is too short (minimum is 8 characters)"),
        ({"bio": "x" * 2001}, "bio is too long (maximum is 2000 characters)"),
    ],
)
def test_the_errors_are_those_of_the_api(
    reader: Reader, values: dict[str, str], error: str
) -> None:
    page = Page(save(reader, **values))

    assert (page.status, page.texts(".error-messages li")) == (422, [error])


def test_a_new_password_ends_all_other_logins(
    reader: Reader, reader_for: Callable[[User], Reader], alice: User
) -> None:
    token, other = tokens.issue(alice.pk), reader_for(alice)
    key = reader.cookies["sessionid"].value

    assert save(reader, password=NEW).status_code == 303

    assert is_logged_in(reader)
    assert reader.cookies["sessionid"].value != key
    assert not is_logged_in(other)
    client = ApiClient(headers={"Authorization": f"Token {token}"})
    assert client.get("/api/user").status_code == 401
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert Reader().log_in(alice.email, NEW).path == "/"


def test_a_new_password_keeps_no_token_that_was_kept_before(reader: Reader, alice: User) -> None:
    kept = ApiClient(headers={"Authorization": f"Token {tokens.issue(alice.pk)}"})
    assert kept.put("/api/user", {"user": {"password": NEW}}).status_code == 200
    reader.log_in(alice.email, NEW)

    save(reader, password=PASSWORD)

    assert kept.get("/api/user").status_code == 401
    assert is_logged_in(reader)


def test_a_stranger_is_sent_to_the_login(stranger: Reader) -> None:
    assert stranger.get("/settings")["Location"] == "/login"
    assert stranger.open("/settings").path == "/login"


def test_charlie_cannot_change_alices_settings(
    reader_for: Callable[[User], Reader], alice: User, charlie: User
) -> None:
    save(reader_for(charlie), bio="Mine", id=str(alice.pk), pk=str(alice.pk))

    alice.refresh_from_db()
    charlie.refresh_from_db()
    assert (alice.bio, charlie.bio) == (None, "Mine")
