"""The queue in front of the pool: which requests wait, which are refused, and when."""

import gc
import random
import sys
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf

import pytest
from django.db import connection
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from database import metrics
from database.backend.admission import STALL, AdmissionQueue
from database.backend.pool import Pool
from tests.database.pools import MakePool, taken, value
from tests.database.servers import wait_until
from tests.stalls import assert_within, repeated_if_stalled

ROUNDS = 30
NO_DATABASE = {"dbname": "no_such_database"}


@pytest.fixture
def pool(make_pool: MakePool) -> Pool:
    """A pool with one connection; while it is stalled, two clients may wait."""
    return make_pool(max_waiting=inf, max_waiting_when_stalled=2, timeout=5)


def waiting(pool: Pool) -> int:
    return pool.get_stats()["requests_waiting"]


def use(pool: Pool, seconds: float = 0) -> None:
    with taken(pool):
        time.sleep(seconds)


def use_in_order(threads: ThreadPoolExecutor, pool: Pool, count: int) -> "list[Future[None]]":
    """Start clients one after the other; all of them wait."""
    clients = []
    for number in range(1, count + 1):
        clients.append(threads.submit(use, pool))
        wait_until(lambda number=number: waiting(pool) >= number, f"{number} wait")  # type: ignore[misc]  # a default of a lambda
    return clients


@repeated_if_stalled
def test_a_stalled_pool_refuses_the_newest_requests_and_serves_the_oldest(pool: Pool) -> None:
    refused = value(metrics.ACQUIRES, result="queue_full")
    with ThreadPoolExecutor() as threads:
        with taken(pool):
            oldest = use_in_order(threads, pool, 2)
            started = time.monotonic()
            newest = [threads.submit(use, pool) for _ in range(3)]
            wait_until(lambda: all(client.done() for client in newest), "three are refused")
            seconds = time.monotonic() - started
            assert not any(client.done() for client in oldest)
        for client in oldest:
            client.result()

    assert {type(client.exception()) for client in newest} == {TooManyRequests}
    assert value(metrics.ACQUIRES, result="queue_full") - refused == 3
    assert seconds >= STALL
    assert_within(seconds, 0.4)


def test_a_stalled_pool_refuses_new_requests_at_once_until_a_connection_comes_back(
    pool: Pool,
) -> None:
    with ThreadPoolExecutor() as threads:
        with taken(pool):
            oldest = use_in_order(threads, pool, 2)
            assert not pool.is_full
            with pytest.raises(TooManyRequests):
                pool.getconn()

            assert pool.is_full
            started = time.monotonic()
            with pytest.raises(TooManyRequests):
                pool.getconn()
            assert time.monotonic() - started < STALL
        for client in oldest:
            client.result()

        assert not pool.is_full
        with taken(pool):  # the stall has ended: a third client may wait for 100 ms again
            late = [threads.submit(use, pool) for _ in range(3)]
            wait_until(lambda: waiting(pool) == 3, "three wait")
        for client in late:
            client.result()


def test_a_new_connection_ends_the_stall(make_pool: MakePool) -> None:
    params = connection.get_connection_params() | NO_DATABASE
    pool = make_pool(params=params, max_waiting=inf, max_waiting_when_stalled=1, timeout=20)
    with ThreadPoolExecutor() as threads:
        clients = [threads.submit(use, pool) for _ in range(4)]
        wait_until(lambda: sum(client.done() for client in clients) == 2, "two are refused")
        assert pool.is_full

        pool.setup.new_params = lambda: connection.get_connection_params() | {"autocommit": True}
        wait_until(lambda: all(client.done() for client in clients), "the others are served")

    assert sum(client.exception() is None for client in clients) == 2
    assert not pool.is_full


def test_a_moving_queue_refuses_no_request(pool: Pool) -> None:
    """Each client uses the connection for a short time; together they need five times STALL."""
    clients = 50
    with ThreadPoolExecutor(clients) as threads:
        for client in [threads.submit(use, pool, STALL / 10) for _ in range(clients)]:
            client.result()


@repeated_if_stalled
def test_a_process_without_cpu_time_is_not_a_stalled_pool(pool: Pool) -> None:
    interval, busy = sys.getswitchinterval(), True

    def compute() -> None:
        while busy:
            pass

    with ThreadPoolExecutor() as threads:
        with taken(pool):
            oldest = use_in_order(threads, pool, 2)
            sys.setswitchinterval(0.03)  # each thread waits so long for the computing thread
            computing = threads.submit(compute)
            try:
                late = threads.submit(use, pool)
                time.sleep(5 * STALL)
                assert not late.done()
            finally:
                busy = False
                sys.setswitchinterval(interval)
                computing.result()
            ended = time.monotonic()
            refused = wait_until(late.done, "the client is refused")
        for client in oldest:
            client.result()
    assert_within(refused - ended, 1)


def test_clients_get_connections_in_the_order_of_arrival() -> None:
    queue, order = AdmissionQueue(1, inf, inf), list[int]()

    def client(number: int) -> None:
        queue.enter(time.monotonic() + 20)
        order.append(number)
        queue.leave()

    with ThreadPoolExecutor() as threads:
        queue.enter(inf)
        for number in range(5):
            threads.submit(client, number)
            wait_until(lambda number=number: queue.clients == number + 2, "the client waits")  # type: ignore[misc]  # a default of a lambda
        queue.leave()

    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_no_slot_is_lost_or_used_twice(seed: int) -> None:
    """Some clients time out at the same moment as others leave."""
    slots, clients = 3, 12
    queue, start = AdmissionQueue(slots, inf, 4), threading.Barrier(clients)
    chance = random.Random(seed)  # noqa: S311 -- not for secrets
    inside, most = set[int](), [0]

    def client(number: int, patience: float) -> None:
        start.wait()
        for _ in range(10):
            try:
                queue.enter(time.monotonic() + patience)
            except PoolTimeout:
                continue
            inside.add(number)
            most[0] = max(most[0], len(inside))
            time.sleep(0.001)
            inside.discard(number)
            queue.leave()

    with ThreadPoolExecutor(clients) as threads:
        patience = [chance.uniform(0, 0.004) for _ in range(clients)]
        for _ in threads.map(client, range(clients), patience):
            pass

    assert most[0] <= slots
    assert queue.clients == 0


def test_closing_the_pool_refuses_waiting_clients(pool: Pool) -> None:
    with ThreadPoolExecutor() as threads:
        session = pool.getconn()
        clients = use_in_order(threads, pool, 2)
        pool.close()
        for client in clients:
            with pytest.raises(PoolClosed):
                client.result(5)
        pool.putconn(session)


class RequestObject:
    """Stands for the local variables of a request."""


def test_the_pool_keeps_no_reference_to_a_client_that_timed_out(make_pool: MakePool) -> None:
    pool = make_pool(params=NO_DATABASE, max_size=5)
    kept = weakref.WeakSet[RequestObject]()

    def request() -> None:
        ballast = RequestObject()
        kept.add(ballast)
        with pytest.raises(PoolTimeout):
            pool.getconn(0.1)

    with ThreadPoolExecutor() as threads:
        for result in [threads.submit(request) for _ in range(5)]:
            result.result()

    gc.collect()
    assert not kept
    assert waiting(pool) == 0
