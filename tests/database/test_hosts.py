"""Several hosts in DATABASE_URL: a host that does not answer costs little, and is remembered."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from statistics import median
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from database.backend import hosts
from database.backend.connection import Connection
from database.backend.outages import Outage, cause_of
from database.health.probes import Probe
from tests.database import application
from tests.database.clusters import DATABASE, PASSWORD, ROLE
from tests.database.load import Reply, ask_at_once, failures, slowest
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.database.test_failover import replicated
from tests.processes import run
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

DISCOVERY = 1.0  # seconds that the first connection may take beside hosts that do not answer
LATER = 0.1  # seconds for the next ones, as their median; a connection to one host takes 5 ms
CONNECT_TIMEOUT = 3  # seconds, the default of DATABASE_CONNECT_TIMEOUT


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    hosts.forget_everything()


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgreSQL]:
    with migrated() as server:
        yield server


@pytest.fixture(scope="module")
def frozen() -> Iterator[list[PostgreSQL]]:
    """Two servers that accept no connection and refuse none."""
    with PostgreSQL() as one, PostgreSQL() as two:
        one.freeze()
        two.freeze()
        yield [one, two]


@pytest.fixture(scope="module")
def other() -> Iterator[PostgreSQL]:
    """A server that is no primary."""
    with PostgreSQL(default_transaction_read_only="on", log_connections="on") as server:
        yield server


def url(*servers: PostgreSQL, options: str = "target_session_attrs=read-write") -> str:
    """The URL of all servers in this order."""
    addresses = ",".join(f"{server.host}:{server.port}" for server in servers)
    account = servers[0].url().rpartition("@")[0]
    return f"{account}@{addresses}/{DATABASE}?{options}"


def connect(*servers: PostgreSQL, outage: Outage | None = None, **params: Any) -> Connection:
    defaults: dict[str, Any] = {
        "target_session_attrs": "read-write",
        "connect_timeout": CONNECT_TIMEOUT,
        "user": ROLE,
        "password": PASSWORD,
    }
    return Connection.connect(
        host=",".join(server.host for server in servers),
        port=",".join(str(server.port) for server in servers),
        dbname=DATABASE,
        outage=outage,
        **defaults | params,
    )


def seconds_to_connect(*servers: PostgreSQL, to: PostgreSQL, **params: Any) -> float:
    """The seconds that a connection takes, which must lead to the server `to`."""
    started = time.monotonic()
    with closing(connect(*servers, **params)) as connection:
        seconds = time.monotonic() - started
        assert connection.info.port == to.port
        assert connection.execute("SELECT 1").fetchone() == (1,)
    return seconds


def accepts(server: PostgreSQL) -> bool:
    try:
        server.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def open_sockets() -> int:
    """The number of sockets of this process."""
    links = [os.readlink(each.path) for each in os.scandir("/proc/self/fd")]
    return sum(link.startswith("socket:") for link in links)


@repeated_if_stalled
def test_frozen_hosts_cost_one_discovery(
    primary: PostgreSQL, frozen: list[PostgreSQL], figures: Callable[[str], None]
) -> None:
    first = seconds_to_connect(*frozen, primary, to=primary)
    later = [seconds_to_connect(*frozen, primary, to=primary) for _ in range(10)]

    figures(f"beside two frozen hosts: {first:.3f} s, then {median(later):.3f} s")
    assert_within(first, DISCOVERY)
    assert_within(median(later), LATER)


@repeated_if_stalled
def test_a_frozen_host_without_target_session_attrs_costs_one_discovery(
    primary: PostgreSQL, frozen: list[PostgreSQL], figures: Callable[[str], None]
) -> None:
    """The order of the URL says which host is preferred, so each one has more time."""
    first = seconds_to_connect(frozen[0], primary, to=primary, target_session_attrs="any")
    later = median(
        seconds_to_connect(frozen[0], primary, to=primary, target_session_attrs="any")
        for _ in range(5)
    )

    figures(f"{first:.3f} s, then {later:.3f} s")
    assert_within(first, hosts.PATIENCE_WITH_ORDER + 0.5)
    assert_within(later, LATER)


def test_the_first_host_of_the_url_is_preferred_without_target_session_attrs(
    primary: PostgreSQL, other: PostgreSQL
) -> None:
    for _ in range(5):
        seconds_to_connect(primary, other, to=primary, target_session_attrs="any")
        seconds_to_connect(other, primary, to=other, target_session_attrs="any")


def test_load_balance_hosts_still_spreads_connections(
    primary: PostgreSQL, other: PostgreSQL, frozen: list[PostgreSQL]
) -> None:
    params: dict[str, Any] = {"target_session_attrs": "any", "load_balance_hosts": "random"}
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(connect(frozen[0], primary, other, **params)))
            for _ in range(30)
        ]
        ports = {connection.info.port for connection in connections}

    assert ports == {primary.port, other.port}


@repeated_if_stalled
def test_a_standby_is_preferred_with_prefer_standby() -> None:
    with replicated() as (leader, standby):
        wait_until(lambda: accepts(standby), "the standby accepts connections")
        for order in [(leader, standby), (standby, leader)] * 10:
            hosts.forget_everything()
            seconds_to_connect(*order, to=standby, target_session_attrs="prefer-standby")
        standby.stop()
        seconds_to_connect(leader, standby, to=leader, target_session_attrs="prefer-standby")
        standby.start()
        wait_until(lambda: accepts(standby), "the standby accepts connections again")
        seconds_to_connect(leader, standby, to=standby, target_session_attrs="prefer-standby")
        standby.freeze()
        seconds = seconds_to_connect(
            leader, standby, to=leader, target_session_attrs="prefer-standby"
        )
    assert_within(seconds, DISCOVERY)


@repeated_if_stalled
def test_the_new_primary_is_found_at_once_after_a_switchover(
    other: PostgreSQL, figures: Callable[[str], None]
) -> None:
    with replicated() as (old, new):
        seconds_to_connect(other, old, new, to=old)
        old.freeze()  # lost, for its clients
        new.execute("SELECT pg_promote()")
        discovery = seconds_to_connect(other, old, new, to=new)
        later = median(seconds_to_connect(other, old, new, to=new) for _ in range(5))

    figures(f"after the promotion: {discovery:.3f} s, then {later:.3f} s")
    assert_within(discovery, DISCOVERY)
    assert_within(later, LATER)


@repeated_if_stalled
def test_a_promotion_is_noticed_while_the_lost_primary_does_not_answer(
    other: PostgreSQL, figures: Callable[[str], None]
) -> None:
    with replicated() as (old, new), ThreadPoolExecutor() as threads:
        old.freeze()  # lost, for its clients
        connecting = threads.submit(seconds_to_connect, other, old, new, to=new, connect_timeout=10)
        time.sleep(1)
        new.execute("SELECT pg_promote()")
        promoted = time.monotonic()
        connecting.result()
        waited = time.monotonic() - promoted

    figures(f"{waited:.2f} s after the promotion")
    assert_within(waited, DISCOVERY)


def test_a_host_that_fits_is_asked_first(primary: PostgreSQL, other: PostgreSQL) -> None:
    before = other.log.read_text().count("connection authorized")
    for _ in range(10):
        seconds_to_connect(other, primary, to=primary)
    asked = other.log.read_text().count("connection authorized") - before

    assert asked <= 1


@repeated_if_stalled
def test_many_threads_find_the_host_at_the_same_time(
    primary: PostgreSQL, frozen: list[PostgreSQL], figures: Callable[[str], None]
) -> None:
    with ThreadPoolExecutor(16) as threads:
        start = threading.Barrier(16)

        def work(_: int) -> list[float]:
            start.wait()
            return [seconds_to_connect(*frozen, primary, to=primary) for _ in range(5)]

        sockets = open_sockets()
        taken = list(threads.map(work, range(16)))
        wait_until(lambda: open_sockets() <= sockets, "no socket is left", seconds=5)

    first, later = max(times[0] for times in taken), max(max(times[1:]) for times in taken)
    figures(f"16 threads: at most {first:.3f} s, then {later:.3f} s")
    assert_within(first, DISCOVERY + 0.5)  # 16 logins at the same time
    assert_within(later, DISCOVERY)


@repeated_if_stalled
def test_the_error_names_each_host_and_its_cause(
    other: PostgreSQL, frozen: list[PostgreSQL]
) -> None:
    down, outage = PostgreSQL(), Outage("test")
    started = time.monotonic()
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(other, down, frozen[0], outage=outage)
    seconds = time.monotonic() - started

    text = str(caught.value)
    assert seconds >= CONNECT_TIMEOUT
    for server, cause in [
        (other, "session is read-only"),
        (down, "Connection refused"),
        (frozen[0], "connection timeout expired"),
    ]:
        (line,) = [each for each in text.splitlines() if f"port: '{server.port}'" in each]
        assert cause in text[text.index(line) :].split("\n- host")[0]
    assert PASSWORD not in text
    assert cause_of(caught.value) == "timeout"  # as in psycopg: that of the last host of the URL
    assert outage.cause == " ".join(text.split())
    assert_within(seconds, CONNECT_TIMEOUT + 1)


def test_a_wrong_password_is_reported(primary: PostgreSQL, other: PostgreSQL) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(other, primary, password="wrong")

    assert str(caught.value).count("password authentication failed") >= 2
    assert cause_of(caught.value) == "authentication"


@repeated_if_stalled
def test_a_name_with_several_addresses_counts_as_several_hosts(
    primary: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the answer of the name server is replaced. No server answers at the first address."""
    unanswered = socket.create_server(("127.0.0.2", primary.port), backlog=1)
    addresses = [
        (socket.AF_INET, 1, 6, "", (address, primary.port))
        for address in ("127.0.0.2", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: addresses)

    def seconds() -> float:
        started = time.monotonic()
        Connection.connect(
            host="database.test",
            port=primary.port,
            user=ROLE,
            password=PASSWORD,
            dbname=DATABASE,
            connect_timeout=CONNECT_TIMEOUT,
        ).close()
        return time.monotonic() - started

    with unanswered:
        assert_within(seconds(), DISCOVERY)
        assert_within(median(seconds() for _ in range(5)), LATER)


FORK = """
import os, sys
import django; django.setup()
from database.backend import hosts
from database.backend.connection import Connection

host, port, options = sys.argv[1:]
Connection.connect(options, host=f"{host},{host}", port=f"{port},{port}").close()
before = len(hosts.known)
child = os.fork()
if child == 0:
    os._exit(len(hosts.known))
print(before, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_does_not_use_what_its_parent_knows(primary: PostgreSQL) -> None:
    account = make_conninfo(user=ROLE, password=PASSWORD, dbname=DATABASE)
    settings = {"DATABASE_URL": primary.url(), "DJANGO_SETTINGS_MODULE": "config.settings"}
    process = run("-c", FORK, primary.host, str(primary.port), account, **settings)

    assert process.stdout.split() == ["1", "0"], process.stderr


def test_the_probe_answers_beside_frozen_hosts(
    primary: PostgreSQL, frozen: list[PostgreSQL]
) -> None:
    params = conninfo_to_dict(url(*frozen, primary), connect_timeout=CONNECT_TIMEOUT)
    probe = Probe()
    assert probe.error(lambda: params) is None
    probe.close()


@pytest.mark.parametrize("mode", ["pool", "persistent", "per-request"])
@repeated_if_stalled
def test_requests_are_served_while_two_of_three_hosts_freeze(
    mode: str, primary: PostgreSQL, figures: Callable[[str], None]
) -> None:
    with (
        PostgreSQL(default_transaction_read_only="on") as one,
        PostgreSQL(default_transaction_read_only="on") as two,
        application.serving(url(one, two, primary), {"DATABASE_CONNECTIONS": mode}) as site,
    ):

        def ask_with_new_sessions() -> list[Reply]:
            primary.terminate_sessions()
            return ask_at_once(site.port, ["/api/test/select-1", "/api/articles"] * 10)

        one.freeze()
        two.freeze()
        rounds = [ask_with_new_sessions() for _ in range(3)]

    figures(f"{mode}: the slowest after {', '.join(f'{slowest(each):.2f}' for each in rounds)} s")
    for replies in rounds:
        assert not failures(replies), failures(replies)[0]
    assert_within(max(map(slowest, rounds)), DISCOVERY + 0.5)


def test_dbcheck_finds_the_primary_beside_two_frozen_hosts(
    primary: PostgreSQL, frozen: list[PostgreSQL], figures: Callable[[str], None]
) -> None:
    started = time.monotonic()
    process = run("manage.py", "dbcheck", DATABASE_URL=url(*frozen, primary))
    figures(f"dbcheck: {time.monotonic() - started:.2f} s")

    assert process.returncode == 0, process.stderr
