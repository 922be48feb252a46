"""Passwords are hashed a few at a time, and no more may wait than there are places."""

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

from database.backend.base import release
from database.backend.current import Current, at_work
from tests.builders import PASSWORD
from tests.database.servers import wait_until
from users.lane import Lane, LaneFull, lane

PATIENCE = 10  # seconds


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Waits in the end for what has been begun."""
    with ThreadPoolExecutor(20) as threads:
        yield threads


def hashes(result: str) -> float:
    return REGISTRY.get_sample_value("password_hashes_total", {"result": result}) or 0


@pytest.mark.parametrize("hashing", [1, 3])
def test_so_many_have_their_turn_at_once_as_may(threads: ThreadPoolExecutor, hashing: int) -> None:
    narrow = Lane(hashing, waiting=20)
    together = threading.Barrier(hashing)
    at_it: list[int] = []
    seen: list[int] = []

    def take_a_turn() -> None:
        with narrow.turn():
            at_it.append(1)
            together.wait(PATIENCE)  # until so many have theirs
            seen.append(len(at_it))
            together.wait(PATIENCE)
            at_it.pop()

    for turn in [threads.submit(take_a_turn) for _ in range(4 * hashing)]:
        turn.result(PATIENCE)

    assert max(seen) == hashing
    assert narrow.taken == 0


def test_who_finds_no_place_is_told_at_once_and_who_has_one_is_served(
    threads: ThreadPoolExecutor,
) -> None:
    narrow = Lane(1, waiting=2)

    def take_a_turn() -> None:
        with narrow.turn():
            pass

    with narrow.turn():
        waiting = [threads.submit(take_a_turn) for _ in range(2)]
        wait_until(lambda: narrow.taken == 3, "both wait")
        refused = [threads.submit(take_a_turn) for _ in range(5)]
        assert {type(each.exception(PATIENCE)) for each in refused} == {LaneFull}
        with pytest.raises(LaneFull):
            narrow.ask()
        assert not any(each.done() for each in waiting)

    assert [each.result(PATIENCE) for each in waiting] == [None, None]
    narrow.ask()


def test_who_has_a_place_needs_no_other() -> None:
    narrow = Lane(1, waiting=0)

    with narrow.place():
        for _ in range(2):
            with narrow.turn(), narrow.turn(), narrow.place():
                assert narrow.taken == 1

    assert narrow.taken == 0


def test_an_error_gives_back_what_was_taken() -> None:
    narrow = Lane(1, waiting=0)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError), narrow.turn():
            raise ZeroDivisionError

    assert narrow.taken == 0


@pytest.mark.parametrize("algorithm", get_hashers_by_algorithm())
def test_no_hasher_hashes_outside_of_it(monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    hasher = get_hasher(algorithm)
    encoded = hasher.encode(PASSWORD, hasher.salt())
    monkeypatch.setattr(lane, "places", 0)

    with pytest.raises(LaneFull):
        hasher.encode(PASSWORD, hasher.salt())
    with pytest.raises(LaneFull):
        hasher.verify(PASSWORD, encoded)


def test_every_hasher_checks_what_it_has_made() -> None:
    for hasher in get_hashers():
        encoded = make_password(PASSWORD, hasher=hasher)

        assert check_password(PASSWORD, encoded)
        assert not check_password("wrong horse", encoded)


def test_it_counts_what_is_hashed_what_is_refused_and_who_waits(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, refused = hashes("done"), hashes("refused")

    with lane.turn():
        waiting = [threads.submit(make_password, PASSWORD) for _ in range(2)]
        wait_until(lambda: REGISTRY.get_sample_value("password_hashes_waiting") == 2, "two wait")
    for each in waiting:
        each.result(PATIENCE)
    monkeypatch.setattr(lane, "places", 0)
    with pytest.raises(LaneFull):
        make_password(PASSWORD)

    assert hashes("done") == done + 3
    assert hashes("refused") == refused + 1
    assert REGISTRY.get_sample_value("password_hashes_waiting") == 0


@contextmanager
def request() -> Iterator[None]:
    """What the layer takes for a request, in this thread."""
    at_work[threading.get_ident()] = Current(lambda: "GET it", deadline=time.monotonic() + 60)
    try:
        yield
    finally:
        del at_work[threading.get_ident()]


@pytest.mark.django_db(transaction=True)
def test_a_request_gives_its_connection_back_but_not_in_a_transaction() -> None:
    with request():
        connection.ensure_connection()
        with transaction.atomic():
            release()
            assert connection.connection is not None
        connection.set_autocommit(False)
        release()
        assert connection.connection is not None
        connection.set_autocommit(True)
        release()
        assert connection.connection is None


@pytest.mark.django_db(transaction=True)
def test_a_command_keeps_its_connection() -> None:
    connection.ensure_connection()

    make_password(PASSWORD)

    assert connection.connection is not None
