"""The old e-mail gets a notice of a new password or a new e-mail, also of one set by plain SQL."""

from collections.abc import Callable

import pytest
from django.contrib.auth import authenticate
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from tests.builders import PASSWORD
from tests.client import ApiClient
from tests.forms import Form, send
from tests.website.reader import Reader
from users.hashers import Argon2Hasher
from users.mail.messages import Kind
from users.mail.models import OutgoingEmail
from users.models import User
from users.queue_worker import worker

Api = Callable[..., ApiClient]
NEW = "another horse"


def queued() -> list[tuple[str, str]]:
    return [*OutgoingEmail.objects.order_by("pk").values_list("kind", "address")]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"email": "new@example.com"}, Kind.EMAIL_CHANGED),
        ({"password": NEW}, Kind.PASSWORD_CHANGED),
        ({"email": "new@example.com", "password": NEW}, Kind.EMAIL_AND_PASSWORD_CHANGED),
    ],
)
def test_the_api_tells_the_old_e_mail(
    api: Api, alice: User, changes: dict[str, str], kind: Kind
) -> None:
    assert api(alice).put("/api/user", {"user": changes}).status_code == 200

    assert queued() == [(kind, "alice@example.com")]
    worker.empty_queues()
    (message,) = mail.outbox
    assert message.to == ["alice@example.com"]
    assert message.subject == kind.label
    assert "If it was not you" in str(message.body)


def test_other_changes_are_told_to_nobody(
    api: Api, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    same = {"email": alice.email, "username": "alicia", "bio": "Hello", "image": ""}

    assert api(alice).put("/api/user", {"user": same}).status_code == 200

    assert queued() == []


def test_a_notice_costs_the_request_no_statement(
    api: Api, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    # The user of the token, the savepoint, the update, the end of the savepoint.
    with django_assert_num_queries(4):
        api(alice).put("/api/user", {"user": {"email": "new@example.com"}})

    assert queued() == [(Kind.EMAIL_CHANGED, "alice@example.com")]


def test_a_refused_change_is_told_to_nobody(api: Api, alice: User, bob: User) -> None:
    changes = {"email": bob.email, "password": NEW}

    assert api(alice).put("/api/user", {"user": changes}).status_code == 409

    assert queued() == []


def test_a_registration_and_a_login_are_told_to_nobody(api: Api, alice: User) -> None:
    api().post(
        "/api/users", {"user": {"username": "dora", "email": "d@example.com", "password": NEW}}
    )
    # The login replaces the hash, but not the password.
    hasher = Argon2Hasher()
    hasher.time_cost = 1
    hash = hasher.encode(PASSWORD, "a long salt")
    User.objects.filter(pk=alice.pk).update(password=hash)
    assert authenticate(username=alice.email, password=PASSWORD) == alice
    assert User.objects.get(pk=alice.pk).password != hash

    assert queued() == []


def test_the_admin_tells_the_old_e_mail(alice: User, site: Client) -> None:
    page = reverse("admin:users_user_change", args=[alice.pk])
    form = Form(site.get(page).text, "user_form")
    form.values["email"] = ["new@example.com"]
    assert send(site, page, form).status_code == 302
    assert queued() == [(Kind.EMAIL_CHANGED, "alice@example.com")]

    page = reverse("admin:auth_user_password_change", args=[alice.pk])
    values = {"usable_password": "true", "password1": NEW, "password2": NEW, "set-password": "1"}
    assert site.post(page, values).status_code == 302
    assert queued()[1:] == [(Kind.PASSWORD_CHANGED, "new@example.com")]


def test_the_site_tells_the_old_e_mail(alice: User) -> None:
    reader = Reader().as_user(alice)
    page = reader.open("/settings")

    reader.submit(page, "main button.btn-primary", email="new@example.com", password=NEW)

    assert queued() == [(Kind.EMAIL_AND_PASSWORD_CHANGED, "alice@example.com")]


def test_a_command_tells_the_user(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt="": NEW)

    call_command("changepassword", alice.email, verbosity=0)

    assert queued() == [(Kind.PASSWORD_CHANGED, "alice@example.com")]


def test_log_out_everywhere_is_told_to_nobody(alice: User) -> None:
    alice.end_tokens()
    alice.save()

    assert queued() == []


@pytest.mark.parametrize("site", ["", "https://conduit.example.com"])
def test_the_notice_says_what_to_do(alice: User, settings: Settings, site: str) -> None:
    settings.SITE_URL = site
    alice.set_password(NEW)
    alice.save()

    worker.empty_queues()

    (message,) = mail.outbox
    body = str(message.body)
    assert "The password of your Conduit account was changed on" in body
    assert "UTC" in body
    assert ("https://conduit.example.com/password-reset" in body) == bool(site)
    assert "alice" not in body
    assert max(map(len, body.splitlines())) <= 90
