"""People who have forgotten their password set a new one with a link from an e-mail."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils.log import log_response
from pytest_django import Settings

from config import access_log
from tests.builders import PASSWORD
from tests.client import ApiClient
from tests.races import at_once
from tests.website.reader import Page, Reader
from users.limits import password_resets
from users.limits.password_resets import MAX_FOR_ACCOUNT
from users.mail.models import OutgoingEmail
from users.models import User
from users.password_queue import password_queue
from users.queue_worker import worker

NEW = "another horse"
MAIN = "main button[type=submit]"
Api = Callable[..., ApiClient]
ReaderFor = Callable[[User], Reader]


def ask(reader: Reader, email: str, **options: Any) -> Page:
    return reader.submit(reader.open("/password-reset"), MAIN, email=email, **options)


def last_link() -> str:
    """The path of the link in the newest e-mail."""
    worker.empty_queues()
    (link,) = re.findall(r"^http://testserver(/\S+)$", str(mail.outbox[-1].body), re.MULTILINE)
    return str(link)


def test_a_link_sets_a_new_password(stranger: Reader, alice: User) -> None:
    page = ask(stranger, "alice@example.com")
    assert page.path == "/password-reset/sent"

    link = last_link()
    assert mail.outbox[0].to == ["alice@example.com"]
    page = stranger.open(link)
    assert page.path.endswith("/set-password")
    page = stranger.submit(page, MAIN, password=NEW)

    assert page.path == "/password-reset/done"
    assert not stranger.has_session
    assert not Session.objects.exists()
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    # A notice, because the link may have been used by somebody else.
    worker.empty_queues()
    assert mail.outbox[-1].subject == "The password of your Conduit account was changed"


def test_the_login_page_has_a_link(stranger: Reader) -> None:
    assert stranger.open("/login").one("main a[href='/password-reset']")


def test_a_new_password_ends_all_logins(
    stranger: Reader, reader_for: ReaderFor, api: Api, alice: User
) -> None:
    other, client = reader_for(alice), api(alice)
    ask(stranger, alice.email)

    stranger.submit(stranger.open(last_link()), MAIN, password=NEW)

    assert client.get("/api/user").status_code == 401
    assert other.open("/settings").path == "/login"


def test_any_spelling_of_the_e_mail_finds_the_account(stranger: Reader, alice: User) -> None:
    ask(stranger, "ALICE@\uff45xample.com")
    worker.empty_queues()

    # The e-mail goes to the address of the account, not to the one that was typed.
    assert [message.to for message in mail.outbox] == [["alice@example.com"]]


def test_the_page_says_the_same_without_an_account(stranger: Reader, alice: User) -> None:
    pages, statements = [], []
    for email in ("alice@example.com", "nobody@example.com"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            pages.append(ask(stranger, email))
        statements.append([re.sub(r"'[^']*'", "?", query["sql"]) for query in queries])

    assert pages[0].html == pages[1].html
    assert statements[0] == statements[1]
    worker.empty_queues()
    assert [message.to for message in mail.outbox] == [["alice@example.com"]]
    assert not OutgoingEmail.objects.exists()


@pytest.mark.parametrize("change", ["suspended", "without password", "deleted"])
def test_those_who_cannot_log_in_get_no_link(stranger: Reader, alice: User, change: str) -> None:
    if change == "deleted":
        alice.delete()
    elif change == "suspended":
        User.objects.filter(pk=alice.pk).update(is_active=False)
    else:
        User.objects.filter(pk=alice.pk).update(password="!")
    ask(stranger, "alice@example.com")

    worker.empty_queues()

    assert mail.outbox == []


@pytest.mark.parametrize(
    ("email", "error"),
    [("", "email can't be blank"), ("alice", "email is invalid"), ("a\0@b.example", "email ")],
)
def test_it_refuses_what_is_no_e_mail(stranger: Reader, email: str, error: str) -> None:
    page = ask(stranger, email, status=422)

    assert page.one(".error-messages").text(strip=True).startswith(error)
    assert not OutgoingEmail.objects.exists()


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("", "password can't be blank"),
        ("seven77", "password is too short (minimum is 8 characters)"),
        ("x" * 129, "password is too long (maximum is 128 characters)"),
    ],
)
def test_the_password_has_the_rules_of_the_api(
    stranger: Reader, alice: User, password: str, error: str
) -> None:
    ask(stranger, alice.email)
    form = stranger.open(last_link())

    page = stranger.submit(form, MAIN, status=422, password=password)

    assert page.texts(".error-messages li") == [error]
    assert not password or password not in page.html
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert stranger.submit(page, MAIN, password=NEW).path == "/password-reset/done"


def test_a_full_password_queue_refuses_the_form(
    stranger: Reader, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(stranger, alice.email)
    form = stranger.open(last_link())
    monkeypatch.setattr(password_queue, "taken", password_queue.slots)

    page = stranger.submit(form, MAIN, status=429, password=NEW)
    monkeypatch.undo()

    assert page.response.headers["Retry-After"] == "1"
    assert stranger.submit(page, MAIN, password=NEW).path == "/password-reset/done"


def test_a_link_works_once(stranger: Reader, alice: User) -> None:
    ask(stranger, alice.email)
    link = last_link()
    stranger.submit(stranger.open(link), MAIN, password=NEW)

    page = stranger.open(link, status=404)

    assert page.one("h1").text() == "This link does not work"
    assert not page.all("input[type=password]")


@pytest.mark.parametrize("change", ["password", "email", "suspended", "time"])
def test_a_change_of_the_account_ends_the_link(
    stranger: Reader, alice: User, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    ask(stranger, alice.email)
    form = stranger.open(last_link())
    if change == "password":
        alice.set_password("a third horse")
    elif change == "email":
        alice.email = "new@example.com"
    elif change == "suspended":
        alice.is_active = False
    else:
        later = datetime.now() + timedelta(seconds=3601)  # noqa: DTZ005 -- as Django's generator
        monkeypatch.setattr(default_token_generator, "_now", lambda: later)
    alice.save()

    stranger.submit(form, MAIN, status=404, password=NEW)

    alice.refresh_from_db()
    assert not alice.check_password(NEW)


@pytest.mark.parametrize(
    "path", ["MQ/set-password", "MQ/abc-123", "!!/abc-123", f"{'9' * 40}/abc-123", "é/set-password"]
)
def test_an_invented_link_does_not_work(stranger: Reader, alice: User, path: str) -> None:
    stranger.open(f"/password-reset/{path}", status=404)

    assert not stranger.has_session


def test_a_token_is_only_for_its_user(stranger: Reader, alice: User, bob: User) -> None:
    ask(stranger, alice.email)
    own = last_link()
    ask(stranger, bob.email)
    other = last_link()

    mixed = f"{other.rsplit('/', 1)[0]}/{own.rsplit('/', 1)[1]}"
    stranger.open(mixed, status=404)


def test_an_account_gets_few_links(stranger: Reader, alice: User) -> None:
    for _ in range(MAX_FOR_ACCOUNT + 2):
        page = ask(stranger, "Alice@example.com")
        assert page.path == "/password-reset/sent"

    worker.empty_queues()

    assert len(mail.outbox) == MAX_FOR_ACCOUNT


def test_an_address_may_ask_for_few_links(
    stranger: Reader, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password_resets, "MAX_FROM_ADDRESS", 3)
    for number in range(3):
        ask(stranger, f"{number}@example.com")

    page = ask(stranger, alice.email, status=429)

    assert 0 < int(page.response.headers["Retry-After"]) <= 3600
    assert page.texts(".error-messages li") == [
        "There were too many requests in a short time. Try again in 60 min."
    ]
    worker.empty_queues()
    assert mail.outbox == []


def test_without_e_mail_the_page_says_so(stranger: Reader, settings: Settings) -> None:
    settings.MAILERS = {}

    page = stranger.open("/password-reset")

    assert "This site sends no e-mail" in page.one("main").text()
    assert not page.all("main form")
    assert Client().post("/password-reset", {"email": "a@b.example"}).status_code == 200


@pytest.mark.parametrize("site", ["", "https://conduit.example.com"])
def test_the_link_has_the_host_of_the_request_or_that_of_the_settings(
    alice: User, settings: Settings, site: str
) -> None:
    settings.SITE_URL = site
    settings.ALLOWED_HOSTS = ["a.example"]
    client = Client()

    evil = client.post("/password-reset", {"email": alice.email}, headers={"host": "evil.example"})
    assert evil.status_code == 400
    client.post("/password-reset", {"email": alice.email}, headers={"host": "a.example"})
    worker.empty_queues()

    (message,) = mail.outbox
    assert f"{site or 'http://a.example'}/password-reset/" in str(message.body)


def test_the_queue_contains_no_token(stranger: Reader, alice: User) -> None:
    ask(stranger, alice.email)

    (row,) = OutgoingEmail.objects.values()
    assert {row["kind"], row["address"], row["site_url"], row["user_id"]} == {
        "password_reset",
        "alice@example.com",
        "http://testserver",
        None,
    }


def test_no_cache_and_no_other_site_gets_the_token(stranger: Reader, alice: User) -> None:
    ask(stranger, alice.email)
    link = last_link()

    for path in (link, f"{link.rsplit('/', 1)[0]}/set-password"):
        response = stranger.get(path)
        assert "no-store" in response.headers["Cache-Control"]
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert link.rsplit("/", 1)[1] not in response.text


def test_no_log_contains_the_token(
    stranger: Reader,
    alice: User,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask(stranger, alice.email)
    link = last_link()
    response = stranger.get(link)
    assert response.status_code == 302
    access_log.log(response, started=0, sent=0)
    access_log.write()
    # An error before Django has found the view, such as one of the database.
    request = RequestFactory().get(link)
    log_response("%s: %s", "Service Unavailable", link, response=HttpResponse(), request=request)

    lines = capfd.readouterr().err + caplog.text

    assert link.rsplit("/", 1)[1] not in lines
    assert '"path":"/password-reset/***"' in lines
    assert "Service Unavailable: /password-reset/***" in lines


def test_staff_still_need_their_second_factor(
    stranger: Reader, settings: Settings, alice: User
) -> None:
    settings.STAFF_SECOND_FACTOR = "required"
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    ask(stranger, alice.email)
    stranger.submit(stranger.open(last_link()), MAIN, password=NEW)

    assert not stranger.has_session
    response = stranger.get("/admin/")
    assert response.status_code == 302


@pytest.mark.django_db(transaction=True)
def test_two_requests_cannot_use_one_token(alice: User) -> None:
    first, second = Reader(), Reader()
    ask(first, alice.email)
    link = last_link()
    pages = [first.open(link), second.open(link)]
    tokens = [
        page.one("main input[name=csrfmiddlewaretoken]").attributes["value"] for page in pages
    ]

    def set_password(reader: Reader, page: Page, token: str | None, password: str) -> int:
        values = {"csrfmiddlewaretoken": token, "password": password}
        return int(reader.post(page.path, values).status_code)

    statuses = at_once(
        [
            lambda: set_password(first, pages[0], tokens[0], "first horse"),
            lambda: set_password(second, pages[1], tokens[1], "second horse"),
        ]
    )

    assert sorted(statuses) == [303, 404]
    alice.refresh_from_db()
    assert alice.check_password(["first horse", "second horse"][statuses.index(404) ^ 1])
