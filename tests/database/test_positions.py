"""The position of the acknowledged writes in a real Redis, and the lease of a process."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote

import pytest
from redis import Redis

from database.positions import Position, PositionsUnavailable
from database.positions import shared as module
from database.positions import shared_position as connect
from database.positions.shared import SharedPosition
from tests.database.certificates import certify
from tests.database.proxy import Proxy
from tests.database.redis_server import RedisServer
from tests.database.servers import wait_until
from tests.database.test_forks import sockets
from tests.processes import free_port
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.redis

LEASE = 60.0  # seconds
OLD, NEW, NEWEST = Position(1, 900), Position(2, 100), Position(2, 300)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine must not end a lease, and a returned Redis must be noticed soon."""
    monkeypatch.setattr(module, "LEASE", LEASE)
    monkeypatch.setattr(module, "PAUSE", 0.05)


@pytest.fixture
def shared(redis: RedisServer) -> Iterator[SharedPosition]:
    position = connect(redis.url, "site")
    yield position
    position.close()


def renew(shared: SharedPosition, position: Position) -> bool:
    with suppress(PositionsUnavailable):
        shared.read()  # opens a connection, if there is none
    return shared.renew(position, monotonic(), is_synchronous=True)


def answers(shared: SharedPosition) -> bool:
    try:
        shared.read()
    except PositionsUnavailable:
        return False
    return True


def seconds(work: Callable[[], object]) -> float:
    began = monotonic()
    with pytest.raises(PositionsUnavailable):
        work()
    return monotonic() - began


def test_the_timeline_counts_first_and_the_text_has_the_same_order() -> None:
    positions = [Position(1, 2), Position(1, 10), Position(1, 1 << 62), Position(2, 0)]
    assert sorted(positions) == positions
    assert sorted(position.encoded() for position in positions) == [
        position.encoded() for position in positions
    ]
    assert [Position.decoded(position.encoded()) for position in positions] == positions


def test_the_position_never_goes_down(shared: SharedPosition) -> None:
    assert shared.read() == (None, False)
    for position in (OLD, NEW, OLD, NEWEST, NEW):
        shared.raise_to(position)
    assert shared.read() == (NEWEST, False)


def test_many_threads_raise_the_position_to_the_highest(shared: SharedPosition) -> None:
    start = threading.Barrier(8)

    def climb(first: int) -> None:
        start.wait()
        for lsn in range(first, 400, 8):
            shared.raise_to(Position(1, lsn))
            position, _ = shared.read()
            assert position
            assert position.lsn >= lsn

    threads = [threading.Thread(target=climb, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.read() == (Position(1, 399), False)


def test_a_lease_raises_the_position_and_expires(
    shared: SharedPosition, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.read()
    began = monotonic()
    monkeypatch.setattr(module, "LEASE", 1)
    assert shared.renew(NEW, began, is_synchronous=True)
    assert shared.read() == (NEW, True)
    wait_until(lambda: not shared.read()[1], "the lease expires")
    assert monotonic() - began >= 1
    assert shared.read() == (NEW, False)


def test_each_process_needs_a_lease_of_its_own(redis: RedisServer, shared: SharedPosition) -> None:
    other = connect(redis.url, "site")
    renew(shared, NEW)
    assert other.read() == (NEW, False)


def test_a_primary_of_an_old_timeline_gets_no_lease(shared: SharedPosition) -> None:
    shared.raise_to(NEW)
    assert not renew(shared, OLD)
    assert shared.read() == (NEW, False)
    assert renew(shared, NEWEST)
    assert shared.read() == (NEWEST, True)


def test_databases_of_other_names_and_numbers_have_positions_of_their_own(
    redis: RedisServer, shared: SharedPosition
) -> None:
    shared.raise_to(NEW)
    assert connect(redis.url, "other").read() == (None, False)
    assert connect(redis.url.replace("/0", "/3"), "site").read() == (None, False)
    assert connect(redis.url, "site").read() == (NEW, False)


def test_redis_knows_since_when_replication_is_synchronous(shared: SharedPosition) -> None:
    def renewed(position: Position, *, is_synchronous: bool) -> Position | None:
        shared.renew(position, monotonic(), is_synchronous=is_synchronous)
        return shared.synchronous_since()

    assert shared.synchronous_since() is None
    assert renewed(NEW, is_synchronous=True) == NEW
    assert renewed(NEWEST, is_synchronous=True) == NEW
    assert renewed(NEWEST, is_synchronous=False) is None
    assert renewed(NEWEST, is_synchronous=True) == NEWEST
    assert renewed(OLD, is_synchronous=False) == NEWEST  # from an old primary
    promoted = Position(3, 50)
    assert renewed(promoted, is_synchronous=True) == promoted


def test_the_lease_ends_when_the_position_is_evicted_or_deleted(
    redis: RedisServer, shared: SharedPosition
) -> None:
    renew(shared, NEW)
    with redis.client() as client:
        client.flushall()
    assert shared.read() == (None, False)
    shared.raise_to(NEWEST)  # covers all commits before it
    assert shared.read() == (NEWEST, True)


def test_a_restarted_redis_begins_empty_although_it_has_an_old_file(
    redis: RedisServer, shared: SharedPosition
) -> None:
    renew(shared, NEW)
    with redis.client() as client:
        client.save()
    shared.raise_to(NEWEST)
    redis.kill()
    redis.start()
    with redis.client() as client:
        assert client.keys("*position*")  # those of the old file
    # The process has not noticed the restart, and its lease is alive.
    assert shared.read() == (None, False)
    shared.raise_to(NEWEST)
    assert shared.read() == (NEWEST, False)
    renew(shared, NEWEST)
    assert shared.read() == (NEWEST, True)


def test_a_redis_that_was_restarted_after_the_question_gives_no_lease(
    redis: RedisServer, shared: SharedPosition
) -> None:
    """Another process may have recorded a later commit in the old Redis before the restart."""
    shared.read()
    since = monotonic()
    shared.raise_to(NEWEST)
    redis.kill()
    redis.start()
    assert not shared.renew(NEW, since, is_synchronous=True)
    assert shared.read() == (NEW, False)
    assert renew(shared, NEWEST)
    assert shared.read() == (NEWEST, True)


def test_a_restarted_redis_begins_empty_although_it_has_an_append_only_file(
    tmp_path: Path,
) -> None:
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    try:
        shared = connect(server.url, "site")
        renew(shared, NEW)
        server.kill()
        server.start()
        assert shared.read() == (None, False)
    finally:
        server.stop()


@repeated_if_stalled
def test_redis_is_away_and_returns(
    redis: RedisServer, shared: SharedPosition, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "database.positions")
    caplog.clear()
    renew(shared, NEW)
    redis.kill()
    work = (shared.read, lambda: shared.raise_to(NEW), lambda: renew(shared, NEW))
    slowest = max(map(seconds, work))
    assert "Connection refused" in shared.error
    redis.start()
    wait_until(lambda: answers(shared), "Redis answers again")
    assert shared.error == ""
    away, returned = caplog.messages
    assert away.startswith("Redis (CACHE_URL) does not answer: ")
    assert returned == "Redis answers again; standbys serve reads again."
    assert_within(slowest, 0.5)


@repeated_if_stalled
def test_a_frozen_redis_delays_the_first_call_only(
    redis: RedisServer, shared: SharedPosition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.6)
    renew(shared, NEW)
    redis.freeze()
    try:
        first, second = seconds(shared.read), seconds(shared.read)
        sleep(0.6)
        later = seconds(lambda: renew(shared, NEWEST))  # a new connection
    finally:
        redis.thaw()
    wait_until(lambda: answers(shared), "Redis answers again")
    assert min(first, later) > 0.2
    assert_within(second, 0.2)
    assert_within(max(first, later), 1)


@repeated_if_stalled
def test_a_command_that_a_frozen_redis_executes_late_does_no_harm(
    redis: RedisServer, shared: SharedPosition
) -> None:
    shared.raise_to(OLD)
    redis.freeze()
    try:
        took = seconds(lambda: renew(shared, NEW))  # it waits in the socket
    finally:
        redis.thaw()
    wait_until(lambda: answers(shared), "Redis answers again")
    position, has_lease = shared.read()
    assert position in (OLD, NEW)
    assert not has_lease
    assert_within(took, 1)


@repeated_if_stalled
def test_a_slow_redis_is_used_up_to_the_timeout(redis: RedisServer) -> None:
    with Proxy("127.0.0.1", redis.port) as proxy:
        shared = connect(f"redis://127.0.0.1:{proxy.port}/0", "site")
        renew(shared, NEW)
        proxy.delay = 0.1
        began = monotonic()
        assert shared.read() == (NEW, True)
        assert monotonic() - began >= 0.1
        proxy.delay = 1
        assert_within(seconds(shared.read), 0.9)


@pytest.mark.parametrize("options", [(), ("--timeout", "1")])
def test_idle_connections_that_the_server_has_closed_are_replaced(
    tmp_path: Path, options: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path, *options)
    server.start()
    try:
        shared = connect(server.url, "site")
        renew(shared, NEW)
        with server.client() as client:
            if options:
                client.ping()
                wait_until(lambda: len(client.client_list()) == 1, "the idle one is closed")
            else:
                client.client_kill_filter(_type="normal", skipme=True)
        assert shared.read() == (NEW, True)
        assert not caplog.messages
    finally:
        server.stop()


def test_a_password_and_a_socket(tmp_path: Path) -> None:
    password, socket = "p/w: 100% secret", tmp_path / "redis.sock"
    server = RedisServer(tmp_path, "--unixsocket", str(socket), password=password)
    server.start()
    try:
        for url in (server.url, f"unix://:{quote(password, safe='')}@{socket}?db=0"):
            shared = connect(url, "site")
            shared.raise_to(NEW)
            assert shared.read() == (NEW, False)
    finally:
        server.stop()


def test_an_encrypted_connection(tmp_path: Path) -> None:
    certificate, port = certify(tmp_path, "127.0.0.1"), free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(tmp_path / "server.key")]
    server = RedisServer(tmp_path, *options, *files)
    server.start()
    try:
        shared = connect(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}", "site")
        renew(shared, NEW)
        question = shared.ask()
        assert question
        assert shared.answer(question) == (NEW, True)
        server.freeze()
        assert seconds(shared.read) > 0.2
    finally:
        server.stop()


def test_a_question_is_answered_later(redis: RedisServer, shared: SharedPosition) -> None:
    renew(shared, NEW)
    question = shared.ask()
    assert question
    shared.raise_to(NEWEST)  # on another connection
    assert shared.answer(question) == (NEW, True)
    redis.kill()
    question = shared.ask()
    assert question is None or shared.answer(question) is None


def test_an_answer_that_does_not_come_is_waited_for_once(
    redis: RedisServer, shared: SharedPosition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 60)
    renew(shared, NEW)
    redis.freeze()
    try:
        question = shared.ask()
        assert question
        began = monotonic()
        assert shared.answer(question) is None
        assert monotonic() - began > 0.2
        with pytest.raises(PositionsUnavailable, match="no answer"):
            shared.read()
        assert shared.ask() is None
    finally:
        redis.thaw()


def test_an_error_contains_no_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer(tmp_path, password="right")
    server.start()
    wrong = connect(server.url.replace("right", "wrong-secret"), "site")
    try:
        with pytest.raises(PositionsUnavailable, match="AuthenticationError"):
            wrong.read()
    finally:
        server.stop()
    away = connect(server.url.replace("right", "wrong-secret"), "site")
    with pytest.raises(PositionsUnavailable, match="Connection refused"):
        away.read()
    assert "secret" not in " ".join([wrong.error, away.error, *caplog.messages])


def test_a_redis_without_the_right_to_tell_its_run_id_is_not_used(redis: RedisServer) -> None:
    with redis.client() as client:
        client.acl_setuser(
            "narrow", enabled=True, passwords=["+pw"], commands=["+@all", "-info"], keys=["*"]
        )
    shared = connect(redis.url.replace("127", "narrow:pw@127"), "site")
    with pytest.raises(PositionsUnavailable, match="NoPermissionError"):
        shared.read()


def test_a_full_redis_is_an_error(redis: RedisServer, shared: SharedPosition) -> None:
    with redis.client() as client:
        client.config_set("maxmemory", "1")
    with pytest.raises(PositionsUnavailable, match="OutOfMemoryError"):
        shared.raise_to(NEW)


def test_a_forked_process_opens_connections_of_its_own(
    redis: RedisServer, shared: SharedPosition
) -> None:
    renew(shared, NEW)
    before = connected(redis)
    child = os.fork()
    if child == 0:
        inherited = sockets(os.getpid())
        shared.abandon()
        closed = inherited - sockets(os.getpid())
        other = connect(redis.url, "site").read()
        os._exit(0 if len(closed) == 1 and other == (NEW, False) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert shared.read() == (NEW, True)
    assert connected(redis) == before + 2  # that of the child, and the one that asks


def connected(redis: RedisServer) -> int:
    """How often a client has connected, with this time."""
    with redis.client() as client:
        times: int = client.info("stats")["total_connections_received"]
    return times


def connections(client: Redis) -> int:
    return len(client.client_list()) - 1


def test_threads_share_the_connections(redis: RedisServer, shared: SharedPosition) -> None:
    for _ in range(20):
        shared.read()
    with redis.client() as client:
        assert connections(client) == 1
