"""The second factor of staff: enrolment, login, recovery codes, removal."""

import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.builders import PASSWORD, make_staff, make_superuser
from tests.client import ApiClient
from tests.codes import add_device, code_of, wrong_code_of
from tests.forms import open_form, send
from tests.races import Call, at_once
from users import deletion
from users.audit import AuditEntry
from users.models import User
from users.second_factor.devices import new_device, new_recovery_codes, secret_of
from users.second_factor.forms import EnrolmentForm

pytestmark = pytest.mark.django_db

LOGIN, PAGE, INDEX = "/admin/login/", "/admin/second-factor/", "/admin/"


@pytest.fixture
def staff(db: None) -> User:
    return make_staff("staff", "view_article")


def with_password(user: User, following: str = INDEX) -> Client:
    """A client that has given the password only."""
    client = Client()
    form = {"username": user.email, "password": PASSWORD, "next": following}
    assert client.post(LOGIN, form).status_code == 302
    return client


def with_session(user: User, device: TOTPDevice | None = None) -> Client:
    """A client whose session has also given the second factor."""
    client = Client()
    client.force_login(user)
    if device:
        session = client.session
        session["second_factor"] = device.pk
        session.save()
    return client


def text_of(response: Any) -> str:
    text: str = response.content.decode()
    return text


def is_in(client: Client) -> bool:
    return int(client.get(INDEX).status_code) == 200


def run_queued_deletion(users: QuerySet[User]) -> None:
    deletion.enqueue(users)
    claim = deletion.Deletion.objects.claim()
    assert claim
    assert sum(claim.run()) > 0


def enrol(client: Client) -> tuple[TOTPDevice, list[str], str]:
    """The device and the recovery codes of the logged-in user, and the code that was sent."""
    page = text_of(client.post(PAGE, {"password": PASSWORD}))
    form = re.search(r'name="enrolment" value="([^"]+)"', page)
    assert form
    user = User.objects.get(pk=client.session["_auth_user_id"])
    secret = re.search(r'id="secret">([^<]+)<', page)
    assert secret
    device = EnrolmentForm.device_of(user, form[1])
    assert secret_of(device) == secret[1]
    code = code_of(device)
    done = client.post(PAGE, {"enrolment": form[1], "code": code})
    assert "Back to the admin" in text_of(done)
    codes = re.findall(r"<code>([a-z2-7]{4}-[a-z2-7]{4})</code>", text_of(done))
    return TOTPDevice.objects.get(user=user), codes, code


def test_staff_add_a_second_factor_and_log_in_with_it(staff: User) -> None:
    client = with_password(staff)
    assert "Second factor" in text_of(client.get(PAGE))

    device, codes, _ = enrol(client)

    assert device.confirmed
    assert len({*codes}) == 10
    assert is_in(client)
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.details) == ("staff", "Second factor added.")

    url = reverse("admin:articles_article_changelist")
    client = with_password(staff, url)
    assert not is_in(client)
    response = client.get(url, follow=True)
    assert 'autocomplete="one-time-code"' in text_of(response)
    response = client.post(LOGIN, {"code": code_of(device, 1), "next": url})
    assert response["Location"] == url
    assert is_in(client)


def test_a_code_works_once(staff: User) -> None:
    device = add_device(staff)
    code = code_of(device)
    assert with_password(staff).post(LOGIN, {"code": code}).status_code == 302

    client = with_password(staff)
    response = client.post(LOGIN, {"code": code})

    assert "was used before" in text_of(response)
    assert not is_in(client)


def test_the_code_of_the_enrolment_logs_nobody_in(staff: User) -> None:
    _, _, code = enrol(with_password(staff))
    client = with_password(staff)

    client.post(LOGIN, {"code": code})

    assert not is_in(client)


def test_a_recovery_code_works_once_however_it_is_typed(staff: User) -> None:
    _, codes, _ = enrol(with_password(staff))
    client = with_password(staff)
    client.post(LOGIN, {"code": f" {codes[0].upper().replace('-', ' ')} "})
    assert is_in(client)
    assert "9 unused recovery codes" in text_of(client.get(PAGE))

    client = with_password(staff)
    client.post(LOGIN, {"code": codes[0]})
    assert not is_in(client)


def test_recovery_codes_are_stored_as_hashes(staff: User) -> None:
    add_device(staff)
    codes = new_recovery_codes(staff)

    stored = {*StaticToken.objects.values_list("token", flat=True)}

    assert len(stored) == 10
    assert not stored & {*codes}
    client = with_password(staff)
    client.post(LOGIN, {"code": stored.pop()})
    assert not is_in(client)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "²²²²²²", "-12345", "a" * 8, "x" * 100])
def test_a_malformed_code_is_refused(staff: User, code: str) -> None:
    add_device(staff)
    new_recovery_codes(staff)
    client = with_password(staff)

    response = client.post(LOGIN, {"code": code})

    assert response.status_code == 200
    assert response.context["form"].errors.keys() == {"code"}
    assert not is_in(client)


def test_wrong_codes_are_throttled(staff: User) -> None:
    device = add_device(staff)
    client = with_password(staff)
    assert "is wrong" in text_of(client.post(LOGIN, {"code": wrong_code_of(device)}))

    assert TOTPDevice.objects.get().throttling_failure_count == 1
    TOTPDevice.objects.update(throttling_failure_count=10)

    # The right code, but less than 512 seconds after the tenth wrong one.
    response = client.post(LOGIN, {"code": code_of(device)})

    assert re.search(r"Too many codes were wrong. Try again in \d{3} s.", text_of(response))
    assert not is_in(client)
    TOTPDevice.objects.update(throttling_failure_timestamp="2020-01-01T00:00Z")
    client.post(LOGIN, {"code": code_of(device)})
    assert is_in(client)


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_logins_with_the_same_code_succeeds(staff: User) -> None:
    device = add_device(staff)
    codes = new_recovery_codes(staff)
    for code in (code_of(device), codes[0]):
        clients = [with_password(staff), with_password(staff)]

        at_once([partial(client.post, LOGIN, {"code": code}) for client in clients])

        assert sorted(map(is_in, clients)) == [False, True]


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_enrolments_succeeds(staff: User) -> None:
    devices = [new_device(staff), new_device(staff)]
    client = with_password(staff)
    calls: list[Call] = [
        partial(
            with_session(staff).post,
            PAGE,
            {
                "enrolment": EnrolmentForm.signed(device),
                "code": code_of(device),
            },
        )
        for device in devices
    ]

    at_once(calls)

    assert TOTPDevice.objects.count() == 1
    assert not is_in(client)


def test_a_session_without_the_code_is_not_staff(staff: User) -> None:
    client = with_session(staff)
    assert is_in(client)
    device = add_device(staff)

    for url in (INDEX, PAGE, reverse("admin:articles_article_changelist")):
        response = client.get(url)
        assert response["Location"].startswith(LOGIN)
        assert client.post(url).status_code == 302
    # Another device needs a new code.
    client = with_session(staff, device)
    assert is_in(client)
    device.delete()
    add_device(staff)
    assert not is_in(client)


def test_a_session_gets_a_new_key_with_each_factor(staff: User) -> None:
    device = add_device(staff)
    client = Client()
    keys = []
    for form in ({"username": staff.email, "password": PASSWORD}, {"code": code_of(device)}):
        client.get(LOGIN)
        client.post(LOGIN, form)
        keys.append(client.cookies[settings.SESSION_COOKIE_NAME].value)

    assert is_in(client)
    assert keys[0] != keys[1]
    assert [*Session.objects.values_list("pk", flat=True)] == [keys[1]]


def test_a_login_leads_only_to_this_site(staff: User) -> None:
    device = add_device(staff)
    client = with_password(staff)

    response = client.post(LOGIN, {"code": code_of(device), "next": "https://evil.example/"})

    assert response["Location"] == INDEX


def test_another_account_can_log_in_instead(staff: User) -> None:
    add_device(staff)
    client = with_password(staff)

    assert client.post(LOGIN, {"log_out": "1"}).status_code == 302

    assert 'name="password"' in text_of(client.get(LOGIN))


def test_a_device_belongs_to_one_user(staff: User) -> None:
    add_device(staff)
    charlie = make_staff("charlie")
    device = add_device(charlie)
    client = with_password(staff)

    client.post(LOGIN, {"code": code_of(device)})

    assert not is_in(client)
    assert not is_in(with_session(staff, device))


def test_enrolment_asks_for_the_password(staff: User) -> None:
    client = with_session(staff)

    response = client.post(PAGE, {"password": "wrong horse"})

    assert "This password is wrong." in text_of(response)
    assert "<svg" not in text_of(response)
    # A form that the server did not make, or made for another user, or long ago.
    other = EnrolmentForm.signed(new_device(make_staff("charlie")))
    for enrolment in ("", "crafted", other):
        form = {"enrolment": enrolment, "code": "123456"}
        assert client.post(PAGE, form).status_code == 302
    assert not TOTPDevice.objects.exists()


def test_an_enrolment_ends_after_a_quarter_of_an_hour(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = new_device(staff)
    form = {"enrolment": EnrolmentForm.signed(device), "code": code_of(device)}
    monkeypatch.setattr("users.second_factor.forms.LIFETIME", -1)
    client = with_session(staff)

    response = client.post(PAGE, form, follow=True)

    assert "This took too long" in text_of(response)
    assert not TOTPDevice.objects.exists()


def test_enrolment_with_a_wrong_code_shows_the_same_secret_again(staff: User) -> None:
    device = new_device(staff)
    form = {"enrolment": EnrolmentForm.signed(device), "code": wrong_code_of(device)}

    response = with_session(staff).post(PAGE, form)

    assert secret_of(device) in text_of(response)
    assert response.context["form"].errors.keys() == {"code"}
    assert not TOTPDevice.objects.exists()


def test_wrong_passwords_count_as_failed_logins(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("users.limits.logins.MAX_FOR_ACCOUNT_FROM_ADDRESS", 2)
    client = with_session(staff)
    for _ in range(2):
        client.post(PAGE, {"password": "wrong horse"})

    assert client.post(PAGE, {"password": PASSWORD}).status_code == 429


def test_removal_asks_for_password_and_code(staff: User) -> None:
    device = add_device(staff)
    new_recovery_codes(staff)
    client = with_session(staff, device)
    wrong = [
        {"password": "wrong horse", "code": code_of(device)},
        {"password": PASSWORD, "code": wrong_code_of(device)},
        {"password": PASSWORD},
    ]
    for form in wrong:
        TOTPDevice.objects.update(throttling_failure_timestamp=None)
        response = client.post(PAGE, form | {"remove": "1"})
        assert response.context["form"].errors
    assert TOTPDevice.objects.count() == 1
    TOTPDevice.objects.update(throttling_failure_timestamp=None)

    # The wrong password has not used up the code.
    client.post(PAGE, {"password": PASSWORD, "code": code_of(device), "remove": "1"})

    assert not TOTPDevice.objects.exists()
    assert not StaticDevice.objects.exists()
    assert is_in(client)
    assert AuditEntry.objects.get().details == "Second factor removed."


def test_new_recovery_codes_replace_the_old_ones(staff: User) -> None:
    device = add_device(staff)
    old = new_recovery_codes(staff)
    client = with_session(staff, device)

    form = {"password": PASSWORD, "code": old[0], "replace": "1"}
    new = re.findall(r"<code>([a-z2-7-]{9})</code>", text_of(client.post(PAGE, form)))

    assert len(new) == 10
    assert not {code.replace("-", "") for code in new} & {*old}
    client = with_password(staff)
    client.post(LOGIN, {"code": old[1]})
    assert not is_in(client)


def test_a_required_second_factor_is_added_first(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "STAFF_SECOND_FACTOR", "required")
    client = with_password(staff)

    response = client.get(INDEX, follow=True)

    assert response.redirect_chain[-1] == (PAGE, 302)
    assert client.get(reverse("admin:articles_article_changelist")).status_code == 302
    assert 'name="log_out"' in text_of(response)
    enrol(client)
    assert is_in(client)

    client = with_password(make_staff("charlie"))
    assert client.post(LOGIN, {"log_out": "1"})["Location"] == LOGIN
    assert 'name="username"' in text_of(client.get(LOGIN))


def test_the_api_asks_for_no_second_factor(staff: User, django_assert_num_queries: Any) -> None:
    add_device(staff)
    login = {"user": {"email": staff.email, "password": PASSWORD}}
    assert ApiClient().post("/api/users/login", login).status_code == 200

    client = ApiClient(staff)
    with django_assert_num_queries(1):  # the user
        assert client.get("/api/user").status_code == 200


def test_the_page_is_for_staff(charlie: User) -> None:
    for client in (Client(), with_session(charlie)):
        assert client.get(PAGE)["Location"] == f"{LOGIN}?next={PAGE}"
        assert client.post(PAGE, {"password": PASSWORD}).status_code == 302


def test_a_superuser_removes_the_second_factor_of_another(staff: User) -> None:
    root = make_superuser("root")
    add_device(staff)
    own = add_device(root)
    url = reverse("admin:users_user_action", args=[staff.pk, "remove_second_factor"])
    page_of_staff = reverse("admin:users_user_change", args=[staff.pk])
    charlie = with_session(make_staff("charlie", "change_user", "view_user"))

    assert url not in text_of(charlie.get(page_of_staff))
    assert charlie.post(url, {"post": "yes"}).status_code == 403
    assert TOTPDevice.objects.count() == 2

    client = with_session(root, own)
    assert url in text_of(client.get(page_of_staff))
    assert client.post(url, {"post": "yes"}).status_code == 302
    assert [*TOTPDevice.objects.all()] == [own]
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.object_name) == ("root", "staff")
    assert entry.details == "Second factor removed."

    url = reverse("admin:users_user_action", args=[root.pk, "remove_second_factor"])
    assert client.post(url, {"post": "yes"}).status_code == 403
    assert [*TOTPDevice.objects.all()] == [own]


def test_a_command_removes_a_second_factor(staff: User) -> None:
    add_device(staff)
    output = StringIO()

    call_command("remove_second_factor", staff.email.upper(), stdout=output)

    assert output.getvalue() == "The second factor of staff@example.com is removed.\n"
    assert AuditEntry.objects.get().details.endswith("by manage.py remove_second_factor.")
    with pytest.raises(CommandError, match="has no second factor"):
        call_command("remove_second_factor", staff.email)
    with pytest.raises(CommandError, match="no account"):
        call_command("remove_second_factor", "nobody@example.com")


def test_no_admin_page_shows_the_secrets(staff: User) -> None:
    device = add_device(staff)
    assert not admin.site.is_registered(TOTPDevice)
    assert not admin.site.is_registered(StaticDevice)
    root = with_session(make_superuser("root"))

    url = reverse("admin:users_user_change", args=[staff.pk])
    assert device.key not in text_of(root.get(url))
    users = reverse("admin:users_user_changelist")
    for lookup in ("totpdevice__key__startswith", "staticdevice__token_set__token"):
        response = root.get(users, {lookup: device.key[:4]})
        assert response["Location"] == f"{users}?e=1"  # the list without the lookup


def test_the_secret_is_in_no_log(staff: User, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        device, codes, _ = enrol(with_password(staff))

    entries = [*AuditEntry.objects.values_list("details", "reason", "object_name")]
    for secret in (device.key, secret_of(device), *codes):
        assert secret not in caplog.text
        assert secret not in str(entries)


def test_sessions_hold_no_secret(staff: User) -> None:
    client = with_password(staff)
    device, codes, _ = enrol(client)

    engine = import_module(settings.SESSION_ENGINE)
    data = str(engine.SessionStore(client.session.session_key).load())

    assert device.key not in data
    assert codes[0] not in data


def test_the_form_of_the_second_step_is_sent_by_a_browser(staff: User) -> None:
    device = add_device(staff)
    client = with_password(staff)
    form = open_form(client, f"{LOGIN}?next={PAGE}", "code-form")
    form.values["code"] = [code_of(device)]

    assert send(client, LOGIN, form, button="")["Location"] == PAGE


@pytest.mark.parametrize("remove", [deletion.delete, run_queued_deletion], ids=["now", "queued"])
def test_the_second_factor_is_deleted_with_its_user(
    staff: User, remove: Callable[[QuerySet[User]], object]
) -> None:
    add_device(staff)
    new_recovery_codes(staff)

    remove(User.objects.filter(pk=staff.pk))

    assert not User.objects.filter(pk=staff.pk).exists()
    assert not TOTPDevice.objects.exists()
    assert not StaticToken.objects.exists()
