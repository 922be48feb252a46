"""DATABASE_PGBOUNCER with a PgBouncer in transaction mode: in the next transaction another client
uses the session."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess
from typing import LiteralString

import psycopg
import pytest

from tests.database import application
from tests.database.clusters import ROLE
from tests.database.load import Reply, ask, failures, first_success, load, reading, slowest
from tests.database.pgbouncer import PgBouncer
from tests.database.proxy import Proxy
from tests.database.servers import PostgreSQL, migrated
from tests.processes import run
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

REQUESTS = 240
CLIENTS = 20
SESSIONS = 4  # shared by all connections; the pool of the server has twice as many connections
TAGS = 100
PROFILE = {"DATABASE_PGBOUNCER": "on"}
DOWN = 1.0  # seconds, of the 5 that a request waits for a connection

# The settings that startup options set without PgBouncer. The server itself has another time zone
# and no statement timeout.
ROLE_SETTINGS: list[LiteralString] = [
    "ALTER ROLE conduit SET TimeZone = 'UTC'",
    "ALTER ROLE conduit SET statement_timeout = '2s'",
    "ALTER ROLE conduit SET idle_in_transaction_session_timeout = '10s'",
]
# Statements that change the session, which another client uses next.
STATE_CHANGES = re.compile(
    r"LOG:  execute (?!<unnamed>).*|statement: (?:PREPARE|DECLARE|LISTEN|RESET|DISCARD|CLOSE).*"
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated(timezone="Asia/Tokyo", log_statement="all") as server:
        yield server


@pytest.fixture(scope="module")
def pgbouncer(server: PostgreSQL) -> Iterator[PgBouncer]:
    # By default PgBouncer waits 15 s before it connects again; a request waits only 5 s.
    settings = {"default_pool_size": SESSIONS, "server_login_retry": 1, "admin_users": ROLE}
    with PgBouncer(server, **settings) as pgbouncer:
        yield pgbouncer


def set_role(pgbouncer: PgBouncer, settings: list[LiteralString]) -> None:
    """Give the role only these settings, for every new session."""
    for statement in ("ALTER ROLE conduit RESET ALL", *settings):
        pgbouncer.server.execute(statement)
    # PgBouncer keeps sessions open, and uses the time zone of the first one for later ones.
    with psycopg.connect(pgbouncer.url(), dbname="pgbouncer", autocommit=True) as console:
        console.execute("RECONNECT")


def test_dbcheck_reports_missing_settings_of_the_role(pgbouncer: PgBouncer) -> None:
    def dbcheck() -> CompletedProcess[str]:
        return run("manage.py", "dbcheck", DATABASE_URL=pgbouncer.url(), **PROFILE)

    set_role(pgbouncer, [])
    refused = dbcheck()
    set_role(pgbouncer, ROLE_SETTINGS)
    accepted = dbcheck()

    assert refused.returncode == os.EX_CONFIG
    for setting in ("TimeZone", "statement_timeout", "idle_in_transaction_session_timeout"):
        assert f'ALTER ROLE "conduit" SET {setting} = ' in refused.stderr
    assert accepted.returncode == 0, accepted.stderr


def question(number: int) -> tuple[str, str]:
    """A path and a method: one of four is a write, one uses `.iterator()`."""
    questions = [
        ("/api/test/iterate", "GET"),
        (f"/api/test/echo?value={number}", "GET"),
        (f"/api/test/write?id={number}", "POST"),
        ("/api/articles", "GET"),
    ]
    return questions[number % len(questions)]


def is_right(number: int, reply: Reply) -> bool:
    rights: list[Callable[[], bool]] = [
        lambda: len(set(reply.json()["tags"])) == TAGS,
        lambda: reply.json()["value"] == str(number),
        lambda: reply.json()["id"] == str(number),
        lambda: reply.json()["articlesCount"] == 0,
    ]
    return reply.succeeded and rights[number % len(rights)]()


def test_every_reply_is_right_and_no_statement_changes_session_state(
    server: PostgreSQL, pgbouncer: PgBouncer, figures: Callable[[str], None]
) -> None:
    set_role(pgbouncer, ROLE_SETTINGS)
    tags = "INSERT INTO articles_tag (name) SELECT 'tag ' || n FROM generate_series(1, %s) AS n"
    server.execute(tags, [TAGS])
    with (
        application.serving(pgbouncer.url(), PROFILE) as site,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        log_before = server.log.stat().st_size
        questions = [question(number) for number in range(REQUESTS)]
        replies = list(clients.map(lambda words: ask(site.port, *words), questions))
        sessions = len(server.sessions())
        state = ask(site.port, "/api/test/state").json()
        too_slow = ask(site.port, "/api/test/sleep?seconds=5")
        remains = STATE_CHANGES.findall(server.log.read_bytes()[log_before:].decode())

    right = sum(is_right(number, reply) for number, reply in enumerate(replies))
    written = Counter(row for (row,) in server.execute("SELECT id FROM scratch"))
    figures(
        f"{right} of {REQUESTS} right, over {sessions} sessions, with {len(remains)} statements"
        f" that leave something; time zone {state['time_zone']}; a statement over its"
        f" {state['statement_timeout']}: {too_slow.status} after {too_slow.seconds:.2f} s"
    )
    assert right == REQUESTS
    assert sessions == SESSIONS
    assert written == Counter(str(number) for number in range(2, REQUESTS, 4))
    assert not remains
    assert (state["time_zone"], state["statement_timeout"]) == ("UTC", "2s")
    assert too_slow.status == 504


def test_reads_pause_but_do_not_fail_when_the_server_behind_pgbouncer_restarts(
    server: PostgreSQL, pgbouncer: PgBouncer, figures: Callable[[str], None]
) -> None:
    set_role(pgbouncer, ROLE_SETTINGS)
    read = reading("/api/test/select-1", "/api/articles")
    with (
        application.serving(pgbouncer.url(), PROFILE) as site,
        load(site.port, CLIENTS, read) as replies,
    ):
        time.sleep(1)
        ended = server.terminate_sessions()
        time.sleep(1)
        server.stop()
        time.sleep(DOWN)
        server.start()
        time.sleep(3)

    failed = failures(replies)
    figures(
        f"{ended} sessions ended, then down for {DOWN:g} s: {len(replies)} GETs, {len(failed)}"
        f" failed, the slowest after {slowest(replies):.2f} s"
    )
    assert not failed, failed[0]


def counter(site: application.Application, name: str) -> float:
    """The value of a counter in the metrics of the site, for all of its labels."""
    page = ask(site.port, "/metrics").content.decode()
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))


@repeated_if_stalled
def test_the_pool_connects_at_a_constant_rate_while_the_server_behind_pgbouncer_is_down(
    figures: Callable[[str], None],
) -> None:
    """PgBouncer accepts connections without a server, and then closes them."""
    down = 5.0
    timeouts = {"statement_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}
    with migrated(**timeouts) as server, Proxy(server.host, server.port) as proxy:
        pgbouncer = PgBouncer(server, default_pool_size=SESSIONS, server_login_retry=0.2)
        # As behind haproxy, which accepts connections and closes them.
        pgbouncer.address = f"host=127.0.0.1 port={proxy.port}"
        with (
            pgbouncer,
            application.serving(pgbouncer.url(), PROFILE) as site,
            load(site.port, 16, reading("/api/test/select-1", "/api/articles")) as replies,
        ):
            time.sleep(1.5)
            reconnects = counter(site, "database_reconnects_total")
            logins, said = pgbouncer.log.stat().st_size, len(site.said())
            server.stop()
            time.sleep(down)
            attempts = pgbouncer.log.read_bytes()[logins:].count(b"login attempt")
            back = server.start()
            time.sleep(2)
            reconnects = counter(site, "database_reconnects_total") - reconnects
            lines = re.findall(r"database\.(?:pool|outages).*", site.said()[said:])

    failed = failures(replies)
    figures(
        f"down for {down:g} s: {attempts} connections to PgBouncer, {reconnects:g} reconnects,"
        f" {len(lines)} lines in the log; first success after {first_success(replies, back):.2f} s;"
        f" {len(replies)} GETs, {len(failed)} failed, the slowest after {slowest(replies):.2f} s"
    )
    print(*lines[:10], sep="\n")
    assert attempts <= 2 * down + 3
    assert reconnects <= 1
    assert len(lines) <= 3, lines  # a broken connection, the outage, its end
    assert all(reply.status == 503 and "retry-after" in reply.headers for reply in failed)
    assert_within(first_success(replies, back), 1)
