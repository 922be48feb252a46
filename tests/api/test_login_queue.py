"""More logins, registrations and password changes arrive than the server can hash."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import get_hasher
from django.db import connection
from django.test import Client
from django.urls import reverse
from prometheus_client import REGISTRY

from database.backend.checkouts import checked_out
from tests.builders import PASSWORD, make_user
from tests.client import ApiClient
from tests.database.servers import wait_until
from tests.stalls import assert_within, repeated_if_stalled
from users.models import User
from users.password_queue import PasswordQueueFull, password_queue

Api = Callable[..., ApiClient]
Call = Callable[[], Any]

RESULT_TIMEOUT = 20  # seconds
SLOTS = 4
FULL = {"errors": {"request": ["was throttled"]}}
NAMES = ("login", "unknown e-mail", "registration", "new password")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _few_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_queue, "slots", SLOTS)


@pytest.fixture
def calls(api: Api, alice: User) -> dict[str, Call]:
    """Every kind of API request that hashes a password."""

    def post(path: str, **user: str) -> Call:
        return lambda: api().post(path, {"user": {"password": PASSWORD} | user})

    return {
        "login": post("/api/users/login", email="alice@example.com"),
        "unknown e-mail": post("/api/users/login", email="nobody@example.com"),
        "registration": post("/api/users", username="dora", email="dora@example.com"),
        "new password": lambda: api(alice).put("/api/user", {"user": {"password": "new horse!"}}),
    }


class Threads(ThreadPoolExecutor):
    """Runs each call on its own thread and connection; leaving the context waits for all calls."""

    def __init__(self) -> None:
        super().__init__(20)

    def begin(self, calls: list[Call]) -> list[Future[Any]]:
        def run(call: Call) -> Any:
            try:
                return call()
            finally:
                connection.close()

        return [self.submit(run, call) for call in calls]


@pytest.fixture
def threads() -> Iterator[Threads]:
    with Threads() as threads:
        yield threads


def queue_is_full() -> bool:
    return password_queue.taken == password_queue.slots


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.mark.parametrize("name", NAMES)
@repeated_if_stalled
def test_a_request_to_a_full_queue_is_refused_at_once(
    calls: dict[str, Call], threads: Threads, name: str
) -> None:
    with password_queue.turn():
        waiting = threads.begin([calls["login"]] * (SLOTS - 1))
        wait_until(queue_is_full, "all slots are taken")
        started = time.monotonic()
        answers = [each.result(RESULT_TIMEOUT) for each in threads.begin([calls[name]] * 3)]
        seconds = time.monotonic() - started
        assert not any(each.done() for each in waiting)

    for answer in answers:
        assert answer.status_code == 429
        assert answer.json() == FULL
        assert answer["Retry-After"] == "1"
    assert [each.result(RESULT_TIMEOUT).status_code for each in waiting] == [200] * (SLOTS - 1)
    assert_within(seconds, 1)


@pytest.mark.parametrize("path", ["/api/users", "/api/users/login"])
def test_a_refused_request_runs_no_query(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(password_queue, "slots", 0)

    with django_assert_num_queries(0):
        assert api().post(path, b"{ not even read").status_code == 429


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_a_refused_login_does_not_load_the_user(
    alice: User, monkeypatch: pytest.MonkeyPatch, email: str, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(password_queue, "slots", 0)

    with django_assert_num_queries(0), pytest.raises(PasswordQueueFull):
        authenticate(username=email, password=PASSWORD)


@pytest.mark.parametrize(
    ("name", "status"), [*zip(NAMES, (200, 401, 201, 200), strict=True)], ids=NAMES
)
def test_a_waiting_request_holds_no_connection(
    calls: dict[str, Call], threads: Threads, name: str, status: int
) -> None:
    with password_queue.turn():
        (waiting,) = threads.begin([calls[name]])
        wait_until(lambda: sample("password_hashes_waiting") == 1, "the request waits")
        holders = {checkout.thread for checkout in list(checked_out.values())}
        assert holders <= {threading.main_thread()}

    assert waiting.result(RESULT_TIMEOUT).status_code == status


def test_reads_are_served_while_logins_wait(
    api: Api, calls: dict[str, Call], threads: Threads
) -> None:
    with password_queue.turn():
        threads.begin([calls["login"]] * (SLOTS - 1))
        wait_until(queue_is_full, "all slots are taken")
        readers = threads.begin([lambda: api().get("/api/tags")] * 8)
        answers = [reader.result(RESULT_TIMEOUT) for reader in readers]

    assert [answer.status_code for answer in answers] == [200] * 8


def user_with_outdated_hash(username: str) -> User:
    """A user whose hash has an old algorithm and too few iterations."""
    password = get_hasher("pbkdf2_sha256").encode(PASSWORD, "salt", 1000)  # type: ignore[call-arg]
    return make_user(username, password=password)


def test_an_outdated_hash_is_upgraded_in_the_same_queue_slot(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = user_with_outdated_hash("dora")
    monkeypatch.setattr(password_queue, "slots", 1)
    taken: dict[str, int] = {}

    def record_taken_slots(execute: Any, sql: str, *arguments: Any) -> Any:
        if '"users_user"' in sql.split("WHERE")[0]:
            taken[sql.split()[0]] = password_queue.taken
        return execute(sql, *arguments)

    with connection.execute_wrapper(record_taken_slots):
        answer = api().post(
            "/api/users/login", {"user": {"email": user.email, "password": PASSWORD}}
        )

    assert answer.status_code == 200
    assert taken == {"SELECT": 1, "UPDATE": 1}  # one slot, from the lookup to the new hash
    user.refresh_from_db()
    assert user.password.startswith("argon2")
    assert user.check_password(PASSWORD)


def test_a_login_is_not_refused_after_its_password_was_verified(api: Api, threads: Threads) -> None:
    users = [user_with_outdated_hash(f"user{number}") for number in range(12)]

    def log_in(user: User) -> Call:
        fields = {"email": user.email, "password": PASSWORD}
        return lambda: api().post("/api/users/login", {"user": fields})

    before = sample("password_hashes_total", result="done")
    log_ins = threads.begin([log_in(user) for user in users])
    statuses = Counter(log_in.result(RESULT_TIMEOUT).status_code for log_in in log_ins)
    after = sample("password_hashes_total", result="done")

    assert statuses.keys() <= {200, 429}
    assert statuses[200] >= SLOTS
    assert after - before == 2 * statuses[200]
    upgraded = User.objects.filter(password__startswith="argon2")
    assert upgraded.count() == statuses[200]


@pytest.fixture
def editor(db: None) -> User:
    return make_user("editor", is_staff=True, is_superuser=True)


@pytest.mark.parametrize(
    ("page", "form"),
    [
        ("login", {"username": "editor@example.com", "password": PASSWORD}),
        (
            "password_change",
            {"old_password": PASSWORD, "new_password1": "new horse", "new_password2": "new horse"},
        ),
        (
            "users_user_add",
            {
                "email": "dora@example.com",
                "username": "dora",
                "usable_password": "true",
                "password1": PASSWORD,
                "password2": PASSWORD,
            },
        ),
    ],
)
def test_the_admin_answers_with_a_page(
    editor: User, monkeypatch: pytest.MonkeyPatch, page: str, form: dict[str, str]
) -> None:
    client = Client()
    if page != "login":
        client.force_login(editor)
    monkeypatch.setattr(password_queue, "slots", 0)

    refused = client.post(reverse(f"admin:{page}"), form)

    assert refused.status_code == 429
    assert refused["Retry-After"] == "1"
    assert refused["Content-Type"] == "text/html; charset=utf-8"
    assert "Try again" in refused.text
    assert not User.objects.filter(username="dora").exists()

    monkeypatch.undo()
    assert client.post(reverse(f"admin:{page}"), form).status_code == 302
