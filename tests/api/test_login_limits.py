"""Limits of failed logins: for an account from one address, for an address, and for an account
from all addresses."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate, authenticate
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from tests.builders import PASSWORD, make_user
from tests.client import ApiClient
from tests.races import at_once
from users.known_addresses import KnownAddress
from users.limits import client_addresses, logins
from users.limits.counters import counters
from users.limits.keys import address_key
from users.limits.logins import LoginRefused
from users.limits.throttles import RateThrottle
from users.models import User
from users.password_queue import password_queue

Api = Callable[..., ApiClient]

WRONG = "wrong horse"
ALICE = "alice@example.com"
HOME, AWAY = "192.0.2.1", "192.0.2.2"
THROTTLED = {"errors": {"request": ["was throttled"]}}


@pytest.fixture
def fast_hashes(settings: Settings) -> None:
    """A fast password hash, for tests with hundreds of logins."""
    md5 = "django.contrib.auth.hashers.MD5PasswordHasher"
    settings.PASSWORD_HASHERS = [md5, *settings.PASSWORD_HASHERS]


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch, fast_hashes: None) -> None:
    """3 failures for an account from an address, 6 for an address, 9 for an account."""
    monkeypatch.setattr(logins, "MAX_FOR_ACCOUNT_FROM_ADDRESS", 3)
    monkeypatch.setattr(logins, "MAX_FROM_ADDRESS", 6)
    monkeypatch.setattr(logins, "MAX_FOR_ACCOUNT", 9)


def log_in(email: str = ALICE, password: str = PASSWORD, address: str = HOME) -> Any:
    user = {"email": email, "password": password}
    return ApiClient(REMOTE_ADDR=address).post("/api/users/login", {"user": user})


def status(email: str = ALICE, password: str = PASSWORD, address: str = HOME) -> int:
    return int(log_in(email, password, address).status_code)


def fail_logins(times: int, email: str = ALICE, address: str = HOME) -> None:
    assert [status(email, WRONG, address) for _ in range(times)] == [401] * times


@pytest.fixture
def addresses() -> Iterator[str]:
    return (f"198.51.100.{number}" for number in itertools.count(1))


@pytest.mark.parametrize("email", [ALICE, "nobody@example.com"])
def test_an_account_is_locked_for_an_address_after_twenty_failures(alice: User, email: str) -> None:
    fail_logins(20, email)

    refused = [log_in(email, WRONG), log_in(email)]

    for answer in refused:
        assert answer.status_code == 429
        assert answer.json() == THROTTLED
        assert 840 < int(answer["Retry-After"]) <= 900


def test_other_addresses_and_other_accounts_are_not_locked(alice: User, bob: User) -> None:
    fail_logins(20)

    assert status(address=AWAY) == 200
    assert status("bob@example.com") == 200
    assert status() == 429


def test_an_email_in_another_case_is_the_same_account(low_limits: None, alice: User) -> None:
    fail_logins(1, "ALICE@example.com")
    fail_logins(1, "Alice@Example.COM")
    fail_logins(1, " alice@example.com\n")

    assert status() == 429


def test_a_success_clears_the_counter(low_limits: None, alice: User) -> None:
    fail_logins(2)
    assert status() == 200
    fail_logins(2)

    assert status() == 200


def test_refused_logins_are_not_counted(low_limits: None, alice: User) -> None:
    fail_logins(3)
    assert [status(password=WRONG) for _ in range(10)] == [429] * 10

    # Three more failures, and the address has six.
    fail_logins(3, "bob@example.com")
    assert status("carol@example.com", WRONG) == 429


def test_a_refused_login_runs_no_query_and_hashes_no_password(
    low_limits: None,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    fail_logins(3)
    monkeypatch.setattr(password_queue, "slot", None)  # taking a queue slot raises TypeError

    with django_assert_num_queries(0):
        assert status() == 429


def test_an_unknown_email_is_refused_in_the_same_time(low_limits: None, alice: User) -> None:
    emails = (ALICE, "nobody@example.com")
    for email in emails:
        fail_logins(3, email)

    def cpu_seconds(email: str) -> float:
        times = []
        for _ in range(30):
            started = time.process_time()
            assert status(email, WRONG) == 429
            times.append(time.process_time() - started)
        return min(times)

    known, unknown = map(cpu_seconds, emails)
    assert 0.5 < unknown / known < 2
    assert max(known, unknown) < 0.015  # a hash takes longer


def test_the_window_ends(low_limits: None, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "WINDOW", 3)
    fail_logins(3)
    answer = log_in()
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 3

    time.sleep(int(answer["Retry-After"]) + 0.1)

    assert status() == 200


def test_logins_that_a_full_queue_refuses_are_not_counted(
    low_limits: None, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(password_queue, "slots", 0)
        assert [log_in()["Retry-After"] for _ in range(5)] == ["1"] * 5

    fail_logins(3)


def test_authenticate_without_a_request_is_not_limited(low_limits: None, alice: User) -> None:
    for _ in range(5):
        assert authenticate(username=ALICE, password=WRONG) is None

    assert authenticate(username=ALICE, password=PASSWORD) == alice


def test_asynchronous_logins_are_limited_too(
    low_limits: None, alice: User, rf: RequestFactory
) -> None:
    request = rf.post("/", REMOTE_ADDR=HOME)
    fail_logins(2)
    log_in_async = async_to_sync(aauthenticate)

    assert log_in_async(request, username=ALICE, password=WRONG) is None
    with pytest.raises(LoginRefused):
        log_in_async(request, email=ALICE, password=PASSWORD)


@pytest.mark.django_db
def test_an_address_is_locked_after_a_hundred_failures(fast_hashes: None) -> None:
    make_user("alice")
    for number in range(100):
        fail_logins(1, f"user{number}@example.com")

    assert log_in("user0@example.com", WRONG).json() == THROTTLED
    assert status() == 429
    assert status(password=WRONG, address=AWAY) == 401


def test_a_success_does_not_clear_the_counter_of_the_address(
    low_limits: None, alice: User, bob: User
) -> None:
    """Otherwise an attacker could clear it with their own account."""
    for number in range(6):
        assert status("bob@example.com") == 200
        fail_logins(1, f"user{number}@example.com")

    assert status("bob@example.com") == 429


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:DB8:0:0::1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
@pytest.mark.django_db
def test_addresses_of_one_64_network_share_a_limit(
    low_limits: None, first: str, second: str, same: bool
) -> None:
    for number in range(6):
        fail_logins(1, f"user{number}@example.com", first)

    assert status("dora@example.com", WRONG, second) == (429 if same else 401)


@pytest.mark.parametrize("path", ["/api/users/login", "/api/users"])
def test_addresses_of_one_64_network_share_a_rate_too(
    alice: User, settings: Settings, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scope in ("login", "register"):
        monkeypatch.setitem(RateThrottle.THROTTLE_RATES, scope, "2/minute")

    def post(address: str) -> int:
        return int(ApiClient(REMOTE_ADDR=address).post(path, {"user": {}}).status_code)

    assert [post(f"2001:db8::{number}") for number in (1, 2, 3)] == [422, 422, 429]
    assert post("2001:db8:0:1::1") == 422


def test_behind_proxies_the_client_has_its_own_address(
    low_limits: None, alice: User, settings: Settings
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    api_path, admin_path = "/api/users/login", reverse("admin:login")

    def post(path: str, forwarded: str) -> int:
        client = ApiClient(headers={"X-Forwarded-For": forwarded})
        if path == api_path:
            body = {"user": {"email": ALICE, "password": WRONG}}
            return int(client.post(path, body).status_code)
        form = {"username": ALICE, "password": WRONG}
        answer = Client(headers={"X-Forwarded-For": forwarded}).post(path, form)
        return int(answer.status_code)

    assert post(api_path, f"203.0.113.9, {HOME}") == 401
    assert post(admin_path, f"{AWAY}, {HOME}") == 200
    assert post(api_path, HOME) == 401
    assert post(api_path, f"{AWAY}, {HOME}") == 429
    assert post(admin_path, HOME) == 429
    assert post(api_path, f"{HOME}, {AWAY}") == 401


@pytest.mark.parametrize(("proxies", "warnings"), [(0, 1), (1, 0)])
def test_an_untrusted_proxy_is_logged_once(
    db: None,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    proxies: int,
    warnings: int,
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": proxies}
    client_addresses._warn_of_untrusted_proxy.cache_clear()
    log_in()
    assert "TRUSTED_PROXIES" not in caplog.text

    for _ in range(3):
        ApiClient(headers={"X-Forwarded-For": HOME}).post("/api/users/login", {"user": {}})

    lines = [record.getMessage() for record in caplog.records if "users" in record.name]
    assert len(lines) == warnings
    assert all("TRUSTED_PROXIES" in line for line in lines)


def test_a_refused_address_is_logged_once(
    low_limits: None, caplog: pytest.LogCaptureFixture, db: None
) -> None:
    for number in range(2):
        fail_logins(3, f"user{number}@example.com", "2001:db8::1")
    for _ in range(5):
        assert status("user0@example.com", address="2001:db8::1") == 429

    lines = [record.getMessage() for record in caplog.records if "users" in record.name]
    assert sorted(lines) == [
        f"Logins {what} 2001:db8::/64 are refused for 900 s: too many failed"
        for what in ("for an account from", "from")
    ]


@pytest.mark.parametrize("email", [ALICE, "nobody@example.com"])
def test_an_account_has_a_limit_across_all_addresses(
    low_limits: None, alice: User, email: str, addresses: Iterator[str]
) -> None:
    for _ in range(9):
        fail_logins(1, email, next(addresses))

    answer = log_in(email, WRONG, next(addresses))

    assert (answer.status_code, answer.json()) == (429, THROTTLED)


def test_the_limit_of_an_account_does_not_apply_to_a_known_address(
    low_limits: None, alice: User, addresses: Iterator[str]
) -> None:
    assert status(address="2001:db8::1") == 200
    for _ in range(9):
        fail_logins(1, ALICE, next(addresses))
    assert status(address=HOME) == 429

    fail_logins(2, ALICE, "2001:db8::2")
    assert status(address="2001:db8::3") == 200
    fail_logins(3, ALICE, "2001:db8::4")
    assert status(address="2001:db8::5") == 429  # the limit for an account from one address


def test_an_address_that_registered_the_account_is_known(
    low_limits: None, db: None, addresses: Iterator[str]
) -> None:
    user = {"username": "dora", "email": "Dora@example.com", "password": PASSWORD}
    answer = ApiClient(REMOTE_ADDR=HOME).post("/api/users", {"user": user})
    assert answer.status_code == 201
    for _ in range(9):
        fail_logins(1, "dora@example.com", next(addresses))

    assert status("dora@example.com", address=AWAY) == 429
    assert status("dora@example.com", address=HOME) == 200


def test_an_address_known_to_one_account_is_unknown_to_another(
    low_limits: None, alice: User, bob: User, addresses: Iterator[str]
) -> None:
    assert status("bob@example.com") == 200
    for _ in range(9):
        fail_logins(1, ALICE, next(addresses))

    assert status() == 429


def test_the_last_twenty_addresses_of_ninety_days_are_known(low_limits: None, alice: User) -> None:
    old = KnownAddress.objects.create(
        user=alice, address_hmac="old", last_used_at=timezone.now() - timedelta(days=91)
    )
    for number in range(25):
        assert status(address=f"198.51.100.{number}") == 200

    known = KnownAddress.objects.filter(user=alice)
    assert known.count() == 20
    assert not known.filter(pk=old.pk).exists()
    hashes = [address_key(f"198.51.100.{number}") for number in range(25)]
    assert {row.address_hmac for row in known} == {*hashes[5:]}
    assert not KnownAddress.objects.is_known(ALICE, hashes[0])
    known.update(last_used_at=timezone.now() - timedelta(days=91))
    assert not KnownAddress.objects.is_known(ALICE, hashes[-1])


def test_a_login_from_a_known_address_writes_nothing(
    fast_hashes: None, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert status() == 200

    with django_assert_num_queries(2):  # the user, the address
        assert status() == 200


def test_a_login_extends_a_known_address_by_ninety_days(fast_hashes: None, alice: User) -> None:
    assert status() == 200
    KnownAddress.objects.update(last_used_at=timezone.now() - timedelta(days=89))

    assert status() == 200

    assert timezone.now() - KnownAddress.objects.get().last_used_at < timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_an_account_deleted_during_the_login_is_not_a_server_error(
    fast_hashes: None, alice: User
) -> None:
    def delete() -> None:
        User.objects.filter(pk=alice.pk).delete()
        connection.close()

    def delete_before_insert(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith('INSERT INTO "users_knownaddress"'):
            with ThreadPoolExecutor(1) as thread:
                thread.submit(delete).result()
        return execute(sql, *arguments)

    with connection.execute_wrapper(delete_before_insert):
        assert status() == 200  # the password was right; the next request is answered with 401

    assert not KnownAddress.objects.exists()


@pytest.fixture
def editor(db: None) -> User:
    return make_user("editor", is_staff=True, is_superuser=True)


def log_in_to_the_admin(password: str, address: str = HOME) -> Any:
    form = {"username": "editor@example.com", "password": password}
    return Client(REMOTE_ADDR=address).post(reverse("admin:login"), form)


def test_the_login_form_of_the_admin_shares_the_counters(editor: User) -> None:
    fail_logins(10, "editor@example.com")
    for _ in range(10):
        assert log_in_to_the_admin(WRONG).status_code == 200

    refused = log_in_to_the_admin(PASSWORD)

    assert refused.status_code == 429
    assert 840 < int(refused["Retry-After"]) <= 900
    assert refused["Content-Type"] == "text/html; charset=utf-8"
    assert "Try again in 15 min" in refused.text
    assert status("editor@example.com") == 429
    assert Client(REMOTE_ADDR=HOME).get(reverse("admin:login")).status_code == 200
    assert log_in_to_the_admin(PASSWORD, AWAY).status_code == 302


def test_a_success_in_the_admin_clears_the_counter(low_limits: None, editor: User) -> None:
    fail_logins(2, "editor@example.com")
    assert log_in_to_the_admin(PASSWORD).status_code == 302
    fail_logins(2, "editor@example.com")

    assert log_in_to_the_admin(PASSWORD).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_many_simultaneous_guesses_only_the_limit_is_verified(
    low_limits: None, patient_counters: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password_queue, "slots", 100)
    for number in range(30):
        email = f"user{number}@example.com"
        counters.delete_matching("*")

        statuses = at_once([partial(status, email, WRONG)] * 12)

        assert Counter(statuses) == {401: 3, 429: 9}
        # The nine refused logins are not counted: the address has three failures left.
        fail_logins(3, "somebody.else@example.com")


@pytest.mark.django_db(transaction=True)
def test_simultaneous_logins_with_the_right_password_are_not_refused(
    low_limits: None, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password_queue, "slots", 100)
    for _ in range(30):
        KnownAddress.objects.all().delete()

        assert at_once([status] * 12) == [200] * 12
        assert KnownAddress.objects.count() == 1
