"""How long sessions last, what ends them, and that the API has none."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.pool_page.access import COOKIE, PATH
from tests.builders import PASSWORD, make_staff, make_superuser, write_article
from tests.client import ApiClient
from tests.codes import add_device, code_of
from tests.races import at_once
from tests.website.reader import Reader
from users import moderation, sessions
from users.models import User
from users.revocation import end_tokens_of

NEW = "another horse"
INDEX = "/admin/"


def is_logged_in(reader: Client) -> bool:
    return reader.get("/settings").status_code == 200


def may_use_the_admin(reader: Client) -> bool:
    return reader.get(INDEX).status_code == 200


def lifetime(reader: Client) -> timedelta:
    """Of the session, which is that of its cookie."""
    cookie = reader.cookies["sessionid"]
    row = Session.objects.get(pk=cookie.value)
    left = row.expire_date - timezone.now()
    if cookie["max-age"]:  # `as_user` sets none
        assert abs(left.total_seconds() - int(cookie["max-age"])) < 60
    return left


def within_a_minute(left: timedelta, expected: timedelta) -> bool:
    return abs(left - expected) < timedelta(minutes=1)


def test_people_stay_logged_in_for_two_weeks(stranger: Reader, alice: User) -> None:
    stranger.log_in(alice.email)

    assert within_a_minute(lifetime(stranger), timedelta(weeks=2))


def test_sessions_of_staff_end_after_twelve_hours(stranger: Reader, db: None) -> None:
    stranger.log_in(make_staff("helper").email)
    assert within_a_minute(lifetime(stranger), timedelta(hours=12))

    staff = make_superuser("staff")
    admin = Client()
    form = {"username": staff.email, "password": PASSWORD, "next": INDEX}
    assert admin.post("/admin/login/", form).status_code == 302
    assert within_a_minute(lifetime(admin), timedelta(hours=12))
    assert may_use_the_admin(admin)


def test_a_change_of_the_session_does_not_make_it_longer(stranger: Reader, db: None) -> None:
    stranger.log_in(make_superuser("staff").email)
    session: Any = stranger.session
    session["_session_expiry"] = (timezone.now() + timedelta(hours=1)).isoformat()
    session.save()

    page = stranger.open("/settings")
    stranger.submit(page, "main .btn-primary", password=NEW)

    assert within_a_minute(lifetime(stranger), timedelta(hours=1))


def test_a_person_who_becomes_staff_logs_in_again_for_the_admin(
    stranger: Reader, alice: User
) -> None:
    stranger.log_in(alice.email)
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)

    assert is_logged_in(stranger)
    assert not may_use_the_admin(stranger)

    form = {"username": alice.email, "password": PASSWORD, "next": INDEX}
    page = stranger.get("/admin/login/")
    assert "csrfmiddlewaretoken" in page.text
    headers = {"X-CSRFToken": stranger.cookies["csrftoken"].value}
    assert stranger.post("/admin/login/", form, headers=headers).status_code == 302
    assert may_use_the_admin(stranger)
    assert within_a_minute(lifetime(stranger), timedelta(hours=12))


def test_a_staff_session_becomes_that_of_a_person(stranger: Reader, alice: User) -> None:
    stranger.as_user(make_superuser("staff"))

    stranger.as_user(alice)

    assert within_a_minute(lifetime(stranger), timedelta(weeks=2))
    assert not may_use_the_admin(stranger)


def test_a_login_on_the_site_does_not_replace_the_second_factor(stranger: Reader, db: None) -> None:
    staff = make_superuser("staff")
    device = add_device(staff)
    stranger.log_in(staff.email)

    # The site needs no code, as the API needs none.
    assert is_logged_in(stranger)
    assert stranger.get(INDEX).status_code == 302
    assert 'name="code"' in stranger.get("/admin/login/").text

    headers = {"X-CSRFToken": stranger.cookies["csrftoken"].value}
    code = {"code": code_of(device)}
    assert stranger.post("/admin/login/", code, headers=headers).status_code == 302
    assert may_use_the_admin(stranger)
    assert is_logged_in(stranger)

    # A new login needs a new code.
    stranger.submit(stranger.open("/settings"), ".btn-outline-danger")
    assert not may_use_the_admin(stranger)
    stranger.log_in(staff.email)
    assert not may_use_the_admin(stranger)


def test_log_out_on_the_site_deletes_the_key_of_the_page_for_outages(
    stranger: Reader, db: None
) -> None:
    stranger.as_user(make_superuser("staff"))
    stranger.get("/admin/database/")
    assert stranger.cookies[COOKIE].value

    stranger.submit(stranger.open("/settings"), ".btn-outline-danger")

    assert (stranger.cookies[COOKIE].value, stranger.cookies[COOKIE]["path"]) == ("", PATH)


@pytest.mark.parametrize(
    "end",
    [
        lambda user: moderation.suspend(User.objects.filter(pk=user.pk), with_content=False),
        lambda user: end_tokens_of(User.objects.filter(pk=user.pk)),
        lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
        lambda user: user.delete(),
        lambda user: ApiClient(user).put("/api/user", {"user": {"password": NEW}}),
    ],
    ids=["suspended", "logged out everywhere", "inactive", "deleted", "new password in the API"],
)
def test_it_ends_at_once(
    reader_for: Callable[[User], Reader], alice: User, end: Callable[[User], Any]
) -> None:
    reader = reader_for(alice)
    assert is_logged_in(reader)
    token = reader.cookies["csrftoken"].value

    end(alice)

    for page in ("/settings", "/editor", "/?feed=following"):
        assert reader.get(page)["Location"] == "/login"
    answer = reader.post("/profile/alice/follow", headers={"X-CSRFToken": token})
    assert answer["Location"] == "/login"
    assert reader.open("/").one('a[href="/login"]')


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_new_passwords_wins(alice: User) -> None:
    # Two windows of one browser, and another browser.
    first = Reader().as_user(alice)
    second, other = Reader(), Reader().as_user(alice)
    second.cookies["sessionid"] = first.cookies["sessionid"].value
    passwords = {first: "first horse", second: "second horse", other: "third horse"}
    for reader in passwords:
        reader.handler.enforce_csrf_checks = False

    def change(reader: Reader) -> Any:
        values = {"username": "alice", "email": alice.email, "password": passwords[reader]}
        return reader.post("/settings", values)

    answers = at_once([partial(change, reader) for reader in passwords])

    locations = sorted(answer["Location"] for answer in answers)
    assert locations == ["/login", "/login", "/profile/alice"]
    (winner,) = [r for r, a in zip(passwords, answers, strict=True) if a["Location"] != "/login"]
    alice.refresh_from_db()
    assert alice.check_password(passwords[winner])
    assert alice.token_generation == 1
    assert [is_logged_in(reader) for reader in passwords] == [r is winner for r in passwords]


def test_a_login_deletes_some_expired_sessions(stranger: Reader, alice: User) -> None:
    now = timezone.now()
    Session.objects.bulk_create(
        Session(session_key=f"old{n}", session_data="", expire_date=now - timedelta(seconds=n + 1))
        for n in range(sessions.EXPIRED_PER_LOGIN + 5)
    )
    Session.objects.create(session_key="new", session_data="", expire_date=now + timedelta(hours=1))

    stranger.log_in(alice.email)

    keys = {*Session.objects.values_list("pk", flat=True)}
    assert keys == {"old0", "old1", "old2", "old3", "old4", "new", stranger.session.session_key}


def test_the_oldest_expired_sessions_come_from_an_index(db: None) -> None:
    with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
        sessions.delete_expired()
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + queries[0]["sql"])
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Index Scan using django_session_expire_date" in plan
    assert "Sort" not in plan


def test_a_signed_in_page_reads_the_session_and_the_user(
    reader_for: Callable[[User], Reader], alice: User
) -> None:
    reader = reader_for(alice)

    with CaptureQueriesContext(connection) as queries:
        assert is_logged_in(reader)

    session, user = [query["sql"] for query in queries]
    assert 'FROM "django_session"' in session
    assert 'FROM "users_user"' in user


def test_the_session_cookie_is_no_login_of_the_api(
    reader_for: Callable[[User], Reader], alice: User
) -> None:
    reader = reader_for(alice)
    article = write_article(alice)

    with CaptureQueriesContext(connection) as queries:
        assert reader.get("/api/user").status_code == 401
        assert reader.get("/api/articles/feed").status_code == 401
        answer = reader.delete(f"/api/articles/{article.slug}")
        assert answer.status_code == 401
    assert len(queries) == 0


@pytest.mark.parametrize("has_session", [True, False])
def test_no_answer_of_the_api_sets_a_cookie(
    reader_for: Callable[[User], Reader], alice: User, has_session: bool
) -> None:
    reader = reader_for(alice) if has_session else Reader()
    user = {"username": "eve", "email": "eve@example.com", "password": PASSWORD}
    body = json.dumps({"user": user})

    for method, path in (
        ("GET", "/api/articles"),
        ("GET", "/api/tags"),
        ("GET", "/api/user"),
        ("GET", "/api/nothing"),
        ("GET", "/api"),
        ("GET", "/api/docs"),
        ("POST", "/api/users"),
        ("POST", "/api/users/login"),
        ("PUT", "/api/user"),
        ("OPTIONS", "/api/user"),
    ):
        answer = reader.generic(method, path, body, "application/json")
        assert not answer.cookies, path
        assert "Cookie" not in answer.headers.get("Vary", ""), path


def test_the_lifetimes_are_those_of_the_documentation() -> None:
    assert timedelta(weeks=2).total_seconds() == settings.SESSION_COOKIE_AGE
    assert timedelta(hours=12) == settings.STAFF_SESSION_LIFETIME
