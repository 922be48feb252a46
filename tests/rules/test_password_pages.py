"""The admin's two pages for a new password write only the password."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.builders import PASSWORD, make_user
from tests.client import ApiClient
from tests.races import at_once
from users.models import User

NEW = "another horse"
ROUNDS = 30

pytestmark = pytest.mark.django_db(transaction=True)


Page = Callable[[User], tuple[Client, str, dict[str, str]]]


def own_password(user: User) -> tuple[Client, str, dict[str, str]]:
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    return logged_in(user), reverse("admin:password_change"), form


def password_of_another_user(user: User) -> tuple[Client, str, dict[str, str]]:
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    return editor(), page_of(user), form | {"set-password": "Change password"}


def no_password_for_another_user(user: User) -> tuple[Client, str, dict[str, str]]:
    return editor(), page_of(user), {"usable_password": "false", "unset-password": "Disable"}


def page_of(user: User) -> str:
    return reverse("admin:auth_user_password_change", args=[user.pk])


def editor() -> Client:
    editor, _ = User.objects.get_or_create(
        username="editor", email="editor@example.com", is_staff=True, is_superuser=True
    )
    return logged_in(editor)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("page", [own_password, password_of_another_user])
def test_simultaneous_changes_of_password_and_e_mail_are_both_kept(page: Page) -> None:
    kept = 0
    for number in range(ROUNDS):
        user = make_user(f"user{number}", is_staff=True)
        client, url, form = page(user)
        api, email = ApiClient(user), f"new{number}@example.com"

        def change() -> int:
            # The page hashes for at least 20 ms. Each round tries another moment of it.
            time.sleep(number / 1000)  # noqa: B023 -- called in the same round
            return int(api.put("/api/user", {"user": {"email": email}}).status_code)  # noqa: B023

        def set_password() -> int:
            return int(client.post(url, form).status_code)  # noqa: B023

        changed, page_status = at_once([change, set_password])

        user.refresh_from_db()
        assert (page_status, user.check_password(NEW)) == (302, True)
        # A change that begins after the new password is refused: its token has ended.
        assert (changed, user.email) in ((200, email), (401, f"user{number}@example.com"))
        kept += changed == 200
    assert kept


@pytest.mark.parametrize(
    "page", [own_password, password_of_another_user, no_password_for_another_user]
)
def test_a_new_password_does_not_undo_other_changes(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user("dora", is_staff=True)
    name = "set_unusable_password" if page is no_password_for_another_user else "set_password"
    hash_password = getattr(User, name)
    now = timezone.now()

    def change_meanwhile(user: User, *arguments: Any) -> None:
        """Another request commits between the read of the row and its save."""
        hash_password(user, *arguments)
        User.objects.filter(pk=user.pk).update(is_active=False, hidden_at=now, bio="Hello")

    monkeypatch.setattr(User, name, change_meanwhile)
    client, url, form = page(user)
    assert client.post(url, form).status_code == 302

    old, user = user, User.objects.get(pk=user.pk)
    assert user.password != old.password
    assert user.token_generation == old.token_generation + 1
    assert (user.is_active, user.hidden_at, user.bio) == (False, now, "Hello")
