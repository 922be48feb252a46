"""Which changes of a user end all tokens and sessions, and which do not."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from tests.builders import PASSWORD, make_user
from tests.client import ApiClient
from users import audit, tokens
from users.admin_base import log
from users.audit import AuditEntry
from users.models import User

NEW = "another horse"


@pytest.fixture
def editor(db: None) -> User:
    return make_user("editor", is_staff=True, is_superuser=True)


@pytest.fixture
def site(editor: User) -> Client:
    return logged_in(editor)


@pytest.fixture
def dora(db: None) -> User:
    """A user of both the API and the admin."""
    return make_user("dora", is_staff=True)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def has_session(client: Client) -> bool:
    return client.get(reverse("admin:index")).status_code == 200


def is_valid(token: str) -> bool:
    response = ApiClient(headers={"Authorization": f"Token {token}"}).get("/api/user")
    return response.status_code == 200


def press_the_button(site: Client, user: User, **fields: str) -> Any:
    url = reverse("admin:users_user_action", args=[user.pk, "log_out_everywhere"])
    return site.post(url, {"post": "yes", **fields})


def by_set_password(user: User) -> None:
    user.set_password(NEW)
    user.save()


def by_set_password_of_one_column(user: User) -> None:
    user.set_password(NEW)
    user.save(update_fields=["password"])


def by_unusable_password(user: User) -> None:
    user.set_unusable_password()
    user.save()


def by_mail(user: User) -> None:
    form = SetPasswordForm(user, {"new_password1": NEW, "new_password2": NEW})
    assert form.is_valid()
    form.save()


def by_the_admin(user: User) -> None:
    site = logged_in(make_user("another.editor", is_staff=True, is_superuser=True))
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    url = reverse("admin:auth_user_password_change", args=[user.pk])
    assert site.post(url, form | {"set-password": "Change password"}).status_code == 302
    assert has_session(site)


def by_disabling_it_in_the_admin(user: User) -> None:
    site = logged_in(make_user("another.editor", is_staff=True, is_superuser=True))
    form = {"usable_password": "false", "unset-password": "Disable"}
    url = reverse("admin:auth_user_password_change", args=[user.pk])
    assert site.post(url, form).status_code == 302


def by_the_button(user: User) -> None:
    site = logged_in(make_user("another.editor", is_staff=True, is_superuser=True))
    assert press_the_button(site, user).status_code == 302


def by_the_action(user: User) -> None:
    site = logged_in(make_user("another.editor", is_staff=True, is_superuser=True))
    form = {"action": "log_out_everywhere", "_selected_action": [user.pk], "post": "yes"}
    assert site.post(reverse("admin:users_user_changelist"), form).status_code == 302


@pytest.mark.parametrize(
    "end",
    [
        by_set_password,
        by_set_password_of_one_column,
        by_unusable_password,
        by_mail,
        by_the_admin,
        by_disabling_it_in_the_admin,
        by_the_button,
        by_the_action,
    ],
)
def test_it_ends_all_tokens_and_sessions_of_one_user(
    dora: User, alice: User, end: Callable[[User], None]
) -> None:
    # The second token was kept by a new password.
    first, kept = tokens.issue(dora.pk), tokens.issue(dora.pk)
    change = {"user": {"password": PASSWORD}}
    ApiClient(headers={"Authorization": f"Token {kept}"}).put("/api/user", change)
    dora.refresh_from_db()
    second, session, alices = (
        tokens.issue(dora.pk, dora.token_generation),
        logged_in(dora),
        tokens.issue(alice.pk),
    )
    assert [is_valid(token) for token in (first, kept, second)] == [False, True, True]
    assert has_session(session)

    end(dora)

    assert [is_valid(token) for token in (first, kept, second)] == [False, False, False]
    assert not has_session(session)
    assert is_valid(alices)


def test_changepassword_ends_tokens_and_sessions(
    dora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, session = tokens.issue(dora.pk), logged_in(dora)
    monkeypatch.setattr("getpass.getpass", lambda prompt="": NEW)

    call_command("changepassword", dora.email, verbosity=0)

    assert User.objects.get(pk=dora.pk).check_password(NEW)
    assert not is_valid(token)
    assert not has_session(session)


def test_an_editor_who_changes_their_own_password_stays_logged_in(dora: User) -> None:
    token, session, other = tokens.issue(dora.pk), logged_in(dora), logged_in(dora)
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}

    assert session.post(reverse("admin:password_change"), form).status_code == 302

    assert has_session(session)
    assert not has_session(other)
    assert not is_valid(token)


def test_a_new_password_in_the_api_ends_sessions(dora: User) -> None:
    session = logged_in(dora)

    ApiClient(dora).put("/api/user", {"user": {"password": NEW}})

    assert not has_session(session)


def test_a_rehash_ends_nothing(dora: User) -> None:
    weak = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    User.objects.filter(pk=dora.pk).update(password=weak)
    dora.refresh_from_db()
    token, session, other = tokens.issue(dora.pk), logged_in(dora), Client()

    form = {"username": dora.email, "password": PASSWORD}
    assert other.post(reverse("admin:login"), form).status_code == 302

    dora.refresh_from_db()
    assert dora.password.startswith("argon2")
    assert is_valid(token)
    assert has_session(session)
    assert has_session(other)


def test_it_ends_a_session_signed_with_an_older_key(dora: User, settings: Settings) -> None:
    session = logged_in(dora)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key, as long as the first one was"
    assert has_session(session)
    session = logged_in(dora)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a third key, as long as the other two were"

    by_set_password(dora)

    assert not has_session(session)


@pytest.mark.parametrize("columns", [None, ["bio"], ["password"]], ids=str)
def test_saving_an_old_instance_does_not_make_ended_tokens_valid(
    dora: User, columns: list[str] | None
) -> None:
    token, copy = tokens.issue(dora.pk), User.objects.get(pk=dora.pk)
    by_set_password(dora)

    copy.bio = "Written from an old copy"
    copy.save(update_fields=columns)

    assert not is_valid(token)
    assert User.objects.get(pk=dora.pk).token_generation == 1
    assert copy.token_generation in (0, 1)


def test_setting_a_password_on_an_old_instance_increases_the_generation_of_the_row(
    dora: User,
) -> None:
    copies = [User.objects.get(pk=dora.pk) for _ in range(3)]

    for copy in copies:
        by_set_password(copy)

    assert [copy.token_generation for copy in copies] == [1, 2, 3]


def test_a_new_user_has_the_first_generation(db: None) -> None:
    created = User.objects.create_user("eve@example.com", "eve", PASSWORD)
    without = User.objects.create_user("fay@example.com", "fay")

    assert created.token_generation == without.token_generation == 0
    assert is_valid(tokens.issue(created.pk, created.token_generation))


def test_plain_sql_can_insert_a_user_without_the_columns(dora: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO users_user (username, username_folded, email, email_folded, password,"
            " is_superuser, is_active, is_staff, created_at) VALUES"
            " ('gil', 'gil', 'gil@example.com', 'gil@example.com', '!', false, true, false, now())"
        )

    assert is_valid(tokens.issue(User.objects.get(username="gil").pk))


@pytest.mark.parametrize("name", ["token_generation", "kept_token_sha256"])
def test_adding_the_columns_does_not_rewrite_the_table(db: None, name: str) -> None:
    def file_of_table() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_relation_filenode('users_user')")
            return cursor.fetchone()

    field: Any = User._meta.get_field(name)
    with connection.schema_editor() as editor:
        # A later migration made it. It reads the column.
        editor.execute("DROP TRIGGER queue_notice ON users_user")
        editor.remove_field(User, field)
        before = file_of_table()
        editor.add_field(User, field)

    assert file_of_table() == before


# --- The admin -----------------------------------------------------------------------


def test_the_page_of_a_user_shows_the_button(site: Client, dora: User) -> None:
    page = site.get(reverse("admin:users_user_change", args=[dora.pk])).text

    assert reverse("admin:users_user_action", args=[dora.pk, "log_out_everywhere"]) in page
    assert "log_out_everywhere" not in site.get(reverse("admin:users_user_add")).text


def test_it_asks_for_a_confirmation(site: Client, dora: User) -> None:
    token = tokens.issue(dora.pk)
    url = reverse("admin:users_user_action", args=[dora.pk, "log_out_everywhere"])

    page = site.get(url)

    assert "dora@example.com" in page.text
    assert site.post(url).status_code == 200
    assert is_valid(token)


def test_the_button_saves_nothing_else_and_is_logged(site: Client, dora: User) -> None:
    before = User.objects.filter(pk=dora.pk).values().get()

    press_the_button(
        site, dora, username="mallory", email="mallory@example.com", bio="Not saved", reason="Spam"
    )

    assert User.objects.filter(pk=dora.pk).values().get() == before | {"token_generation": 1}
    assert LogEntry.objects.get().get_change_message() == "Logged out everywhere. Spam"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.object_name, entry.reason) == ("log_out", "dora", "Spam")
    assert "Logged out everywhere: 1 user." in site.get(reverse("admin:index")).text


def test_the_action_is_logged_for_each_user(site: Client, dora: User, alice: User) -> None:
    form = {"action": "log_out_everywhere", "_selected_action": [dora.pk, alice.pk], "post": "yes"}

    response = site.post(reverse("admin:users_user_changelist"), form, follow=True)

    assert "Logged out everywhere: 2 users." in response.text
    logged = LogEntry.objects.values_list("object_id", flat=True)
    assert {*logged} == {str(dora.pk), str(alice.pk)}


def test_one_update_logs_out_any_number_of_users(
    site: Client, dora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MAX_ENTRIES", 2)
    monkeypatch.setattr(audit, "MAX_ENTRIES", 2)
    names = [f"user{number}" for number in range(5)]
    User.objects.bulk_create(
        User(username=n, username_folded=n, email=f"{n}@x.y", email_folded=f"{n}@x.y")
        for n in names
    )
    form = {
        "action": "log_out_everywhere",
        "_selected_action": [dora.pk],
        "select_across": "1",
        "post": "yes",
    }

    with CaptureQueriesContext(connection) as queries:
        response = site.post(reverse("admin:users_user_changelist"), form)

    assert response.status_code == 302
    # The editor is the seventh.
    assert not User.objects.filter(token_generation=0).exists()
    updates = [q["sql"] for q in queries if q["sql"].startswith('UPDATE "users_user"')]
    assert len(updates) == 1
    # Only users with log entries of their own are loaded.
    assert all("LIMIT 2" in q["sql"] for q in queries if '"users_user"."bio"' in q["sql"][:500])
    logged = AuditEntry.objects.order_by("pk").values_list("action", "object_name")
    assert [action for action, _ in logged] == ["log_out"] * 3
    assert logged[2][1] == "5 more users"


@pytest.mark.parametrize("right", ["view_user", "change_user"])
def test_it_needs_the_permission_to_suspend_users(dora: User, alice: User, right: str) -> None:
    dora.user_permissions.add(Permission.objects.get(codename=right))
    token, site = tokens.issue(alice.pk), logged_in(dora)
    action = {"action": "log_out_everywhere", "_selected_action": [alice.pk], "post": "yes"}

    assert press_the_button(site, alice).status_code == 403
    assert site.post(reverse("admin:users_user_changelist"), action).status_code == 403

    assert is_valid(token)
    page = site.get(reverse("admin:users_user_change", args=[alice.pk])).text
    assert "log_out_everywhere" not in page


def test_it_needs_the_rights_of_the_user(dora: User, editor: User) -> None:
    rights = Permission.objects.filter(codename__in=["view_user", "suspend_user"])
    dora.user_permissions.set(rights)
    token = tokens.issue(editor.pk)

    assert press_the_button(logged_in(dora), editor).status_code == 403
    assert is_valid(token)
