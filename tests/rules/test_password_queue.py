"""The password queue: it limits how many threads hash at once, and how many wait."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.contrib.auth.hashers import (
    check_password,
    get_hasher,
    get_hashers,
    get_hashers_by_algorithm,
    make_password,
)
from django.db import connection, transaction
from prometheus_client import REGISTRY

from database.backend import release_connection
from database.backend.running import RunningRequest, running_requests
from tests.builders import PASSWORD
from tests.database.servers import wait_until
from users.password_queue import PasswordQueue, PasswordQueueFull, password_queue

PATIENCE = 10  # seconds


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Waits for its threads at the end of the test."""
    with ThreadPoolExecutor(20) as threads:
        yield threads


def hashes(result: str) -> float:
    return REGISTRY.get_sample_value("password_hashes_total", {"result": result}) or 0


@pytest.mark.parametrize("hashing", [1, 3])
def test_it_lets_the_configured_number_of_threads_hash_at_once(
    threads: ThreadPoolExecutor, hashing: int
) -> None:
    queue = PasswordQueue(hashing, waiting=20)
    together = threading.Barrier(hashing)
    hashing_now: list[int] = []
    seen: list[int] = []

    def take_a_turn() -> None:
        with queue.turn():
            hashing_now.append(1)
            together.wait(PATIENCE)  # until all turns are taken
            seen.append(len(hashing_now))
            together.wait(PATIENCE)
            hashing_now.pop()

    for turn in [threads.submit(take_a_turn) for _ in range(4 * hashing)]:
        turn.result(PATIENCE)

    assert max(seen) == hashing
    assert queue.taken == 0


def test_it_refuses_at_once_when_full_and_serves_the_threads_that_wait(
    threads: ThreadPoolExecutor,
) -> None:
    queue = PasswordQueue(1, waiting=2)

    def take_a_turn() -> None:
        with queue.turn():
            pass

    with queue.turn():
        waiting = [threads.submit(take_a_turn) for _ in range(2)]
        wait_until(lambda: queue.taken == 3, "both wait")
        refused = [threads.submit(take_a_turn) for _ in range(5)]
        assert {type(each.exception(PATIENCE)) for each in refused} == {PasswordQueueFull}
        with pytest.raises(PasswordQueueFull):
            queue.refuse_if_full()
        assert not any(each.done() for each in waiting)

    assert [each.result(PATIENCE) for each in waiting] == [None, None]
    queue.refuse_if_full()


def test_a_thread_takes_one_slot_only() -> None:
    queue = PasswordQueue(1, waiting=0)

    with queue.slot():
        for _ in range(2):
            with queue.turn(), queue.turn(), queue.slot():
                assert queue.taken == 1

    assert queue.taken == 0


def test_an_error_releases_the_slot_and_the_turn() -> None:
    queue = PasswordQueue(1, waiting=0)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError), queue.turn():
            raise ZeroDivisionError

    assert queue.taken == 0


@pytest.mark.parametrize("algorithm", get_hashers_by_algorithm())
def test_every_hasher_uses_it(monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    hasher = get_hasher(algorithm)
    encoded = hasher.encode(PASSWORD, hasher.salt())
    monkeypatch.setattr(password_queue, "slots", 0)

    with pytest.raises(PasswordQueueFull):
        hasher.encode(PASSWORD, hasher.salt())
    with pytest.raises(PasswordQueueFull):
        hasher.verify(PASSWORD, encoded)


def test_every_hasher_verifies_its_own_hashes() -> None:
    for hasher in get_hashers():
        encoded = make_password(PASSWORD, hasher=hasher)

        assert check_password(PASSWORD, encoded)
        assert not check_password("wrong horse", encoded)


def test_metrics_count_hashes_and_refusals_and_waiting_threads(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, refused = hashes("done"), hashes("refused")

    with password_queue.turn():
        waiting = [threads.submit(make_password, PASSWORD) for _ in range(2)]
        wait_until(lambda: REGISTRY.get_sample_value("password_hashes_waiting") == 2, "two wait")
    for each in waiting:
        each.result(PATIENCE)
    monkeypatch.setattr(password_queue, "slots", 0)
    with pytest.raises(PasswordQueueFull):
        make_password(PASSWORD)

    assert hashes("done") == done + 3
    assert hashes("refused") == refused + 1
    assert REGISTRY.get_sample_value("password_hashes_waiting") == 0


@contextmanager
def request() -> Iterator[None]:
    """This thread counts as a request for the connection layer."""
    running_requests[threading.get_ident()] = RunningRequest(
        lambda: "GET it", deadline=time.monotonic() + 60
    )
    try:
        yield
    finally:
        del running_requests[threading.get_ident()]


@pytest.mark.django_db(transaction=True)
def test_a_request_releases_its_connection_unless_it_is_in_a_transaction() -> None:
    with request():
        connection.ensure_connection()
        with transaction.atomic():
            release_connection()
            assert connection.connection is not None
        connection.set_autocommit(False)
        release_connection()
        assert connection.connection is not None
        connection.set_autocommit(True)
        release_connection()
        assert connection.connection is None


@pytest.mark.django_db(transaction=True)
def test_a_command_keeps_its_connection() -> None:
    connection.ensure_connection()

    make_password(PASSWORD)

    assert connection.connection is not None
