"""People delete their own account, with their password."""

from collections.abc import Callable

import pytest
from django.core import mail
from django.test import Client

from articles.models import Article, Comment, Favorite
from profiles.models import Follow
from tests.builders import (
    PASSWORD,
    follow,
    like,
    make_staff,
    make_superuser,
    write_article,
    write_comment,
)
from tests.client import ApiClient
from tests.website.reader import Reader
from users import deletion
from users.audit import AuditEntry
from users.limits import logins
from users.models import User
from users.queue_worker import worker

PATH = "/settings/delete"
BUTTON = "main button[type=submit]"
ReaderFor = Callable[[User], Reader]


def test_it_deletes_the_account_and_everything_in_it(
    reader_for: ReaderFor, alice: User, bob: User
) -> None:
    article = write_article(alice)
    write_comment(bob, article)
    other = write_article(bob)
    write_comment(alice, other)
    like(alice, other)
    follow(alice, bob)
    reader = reader_for(alice)

    page = reader.open(PATH)
    assert page.texts("main li") == ["1 article", "2 comments", "1 favorite", "2 follows"]
    page = reader.submit(page, BUTTON, password=PASSWORD)

    assert page.path == "/"
    assert "Your account is deleted." in page.html
    assert not reader.has_session
    assert [*User.objects.all()] == [bob]
    assert [*Article.objects.all()] == [other]
    assert not Comment.objects.exists()
    assert not Favorite.objects.exists()
    assert not Follow.objects.exists()
    worker.empty_queues()
    (message,) = mail.outbox
    assert message.to == ["alice@example.com"]
    assert message.subject == "Your Conduit account was deleted"


def test_the_settings_have_a_link(reader_for: ReaderFor, alice: User) -> None:
    assert reader_for(alice).open("/settings").one(f"main a[href='{PATH}']")


def test_it_ends_all_logins(reader_for: ReaderFor, alice: User) -> None:
    first, second, api = reader_for(alice), reader_for(alice), ApiClient(alice)

    first.submit(first.open(PATH), BUTTON, password=PASSWORD)

    assert second.open("/settings").path == "/login"
    assert api.get("/api/user").status_code == 401


def test_a_wrong_password_deletes_nothing(reader_for: ReaderFor, alice: User, bob: User) -> None:
    reader = reader_for(alice)

    for password in ("wrong", ""):
        page = reader.submit(reader.open(PATH), BUTTON, status=422, password=password)
        assert page.texts(".error-messages li") == ["password is invalid"]
    assert User.objects.count() == 2
    assert reader.open(PATH).path == PATH
    worker.empty_queues()
    assert mail.outbox == []


def test_the_password_cannot_be_guessed_here(
    reader_for: ReaderFor, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "MAX_FOR_ACCOUNT_FROM_ADDRESS", 3)
    reader = reader_for(alice)
    page = reader.open(PATH)
    for _ in range(3):
        reader.submit(page, BUTTON, status=422, password="wrong")

    refused = reader.submit(page, BUTTON, status=429, password=PASSWORD)

    assert "Too many logins have failed" in refused.one(".error-messages").text()
    assert User.objects.filter(pk=alice.pk).exists()


def test_another_site_cannot_send_the_form(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    assert client.post(PATH, {"password": PASSWORD}).status_code == 403
    assert User.objects.filter(pk=alice.pk).exists()


def test_a_stranger_is_sent_to_the_login(stranger: Reader, alice: User) -> None:
    assert stranger.open(PATH).path == "/login"
    assert User.objects.filter(pk=alice.pk).exists()


def test_the_last_superuser_cannot_be_deleted(reader_for: ReaderFor, db: None) -> None:
    editor = make_superuser("editor")
    reader = reader_for(editor)

    page = reader.submit(reader.open(PATH), BUTTON, status=422, password=PASSWORD)

    assert page.texts(".error-messages li") == ["account is the last active superuser"]
    assert not AuditEntry.objects.exists()
    other = make_superuser("other")
    assert reader.submit(page, BUTTON, password=PASSWORD).path == "/"
    assert [*User.objects.all()] == [other]


def test_the_audit_log_names_staff_who_delete_themselves(reader_for: ReaderFor, db: None) -> None:
    moderator = make_staff("moderator")
    reader = reader_for(moderator)

    reader.submit(reader.open(PATH), BUTTON, password=PASSWORD)

    (entry,) = AuditEntry.objects.all()
    assert (entry.actor_id, entry.action, entry.object_name) == (
        moderator.pk,
        "delete",
        "moderator",
    )


def test_a_large_account_disappears_at_once(
    reader_for: ReaderFor, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "SMALL", 3)
    for _ in range(4):
        write_article(alice)
    reader = reader_for(alice)

    page = reader.submit(reader.open(PATH), BUTTON, password=PASSWORD)

    assert "Nobody can see it any more." in page.html
    assert page.all(".article-preview") == []
    assert reader.get("/profile/alice").status_code == 404
    worker.empty_queues()
    assert not User.objects.exists()
    assert [message.to for message in mail.outbox] == [["alice@example.com"]]
