"""The pool page, of a server with two processes, while PostgreSQL works, stops and
freezes."""

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any

import pytest

from config.pool_page import access
from database.backend import Connection, database_wrapper
from database.health import read_activity
from database.health.processes import add_up
from tests.database.application import Application, serving
from tests.database.clusters import DATABASE, ROLE
from tests.database.gate import closed_gate
from tests.database.load import Reply, ask, ask_at_once, slowest
from tests.database.operators import SESSION, add_operator
from tests.database.servers import OBSERVER, PostgreSQL, migrated, wait_until
from tests.processes import run, runserver
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

PAGE = "/admin/database/"
FIGURES = "/admin/database/figures"
POOL_MAX = 3


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with migrated(max_connections=20) as server:
        add_operator(server)
        yield server


@pytest.fixture(scope="module")
def site(server: PostgreSQL) -> Iterator[Application]:
    sizes = {"DATABASE_POOL_MAX": str(POOL_MAX), "DATABASE_MAX_WAITING": "1", "DEBUG": "on"}
    with serving(server.url(), sizes, workers=2, threads=12) as site:
        yield site


def visit(site: Application, path: str = PAGE, **cookies: str) -> Reply:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return ask(site.port, path, headers={"Cookie": header} if header else {})


def as_root(site: Application) -> dict[str, str]:
    """The text of each section, for a superuser who is logged in.

    The answer is 503 while the database does not answer, because the login cannot be checked. Then
    this asks again.
    """
    replies: list[Reply] = []

    def is_answered() -> bool:
        replies.append(visit(site, FIGURES, sessionid=SESSION))
        return replies[-1].status != 503

    wait_until(is_answered, "the login can be checked")
    assert replies[-1].status == 200, replies[-1]
    return texts(replies[-1])


def with_key(site: Application, key: str = "") -> dict[str, str]:
    """The same for a reader who has only a key."""
    reply = visit(site, FIGURES, **{access.COOKIE: key or access.key_of_link()})
    assert reply.status == 200, reply
    return texts(reply)


def key_in(reply: Reply) -> str:
    name, _, key = reply.headers["set-cookie"].partition(";")[0].partition("=")
    assert name == access.COOKIE
    return key


def texts(reply: Reply) -> dict[str, str]:
    sections: dict[str, str] = reply.json()["sections"]
    sections = {name: unescape(html) for name, html in sections.items()}
    return {name: " ".join(re.sub("<[^>]+>", " ", html).split()) for name, html in sections.items()}


def test_it_shows_all_processes(site: Application) -> None:
    largest = f"maximum {2 * POOL_MAX}"
    wait_until(lambda: largest in as_root(site)["charts"], "both have reported")

    sections = as_root(site)

    assert all(str(pid) in sections["processes"] for pid in site.workers())
    assert sections["processes"].count("running") == 2
    assert "2 server processes of this machine" in sections["state"]
    assert "conduit" in sections["clients"]
    assert "No problem is known." in sections["state"]


def test_it_shows_the_line_that_holds_a_connection_and_slow_statements_without_values(
    site: Application, server: PostgreSQL
) -> None:
    with ThreadPoolExecutor(2) as threads, closed_gate(server) as gate:
        held = threads.submit(ask, site.port, f"/api/test/hold?{gate.query}")
        slow = threads.submit(ask, site.port, "/api/test/sleep?seconds=0.3")
        wait_until(lambda: "in hold" in as_root(site)["held"], "the connection is shown")
        sections = as_root(site)
        gate.open()
        assert (held.result().status, slow.result().status) == (200, 200)

    assert re.search(r"tests/database/site/views\.py:\d+ in hold", sections["held"])
    assert "GET 'api/test/hold'" in sections["held"]
    wait_until(lambda: "pg_sleep" in as_root(site)["slow"], "the statement is shown")
    slow_text = as_root(site)["slow"]
    assert "SELECT ? FROM pg_sleep(%s)" in slow_text
    assert "0.3" not in slow_text


def test_it_counts_refused_requests(site: Application, server: PostgreSQL) -> None:
    with ThreadPoolExecutor(20) as threads, closed_gate(server) as gate:
        slow = f"/api/test/sleep?{gate.query}"
        asked = [threads.submit(ask, site.port, slow) for _ in range(20)]
        wait_until(lambda: any(reply.done() for reply in asked), "one is refused")
        gate.open()
        refused = sum(reply.result().status == 503 for reply in asked)

    def counted() -> int:
        found = re.search(r"queue full (\d+)", as_root(site)["charts"])
        return int(found[1]) if found else 0

    assert refused > 0
    # The queue worker of a process may be refused too.
    wait_until(lambda: counted() >= refused, "they are counted")


@repeated_if_stalled
def test_it_answers_without_a_login_while_no_connection_is_free(
    site: Application, server: PostgreSQL
) -> None:
    with ThreadPoolExecutor(1) as threads, closed_gate(server) as gate:
        slow = f"/api/test/sleep?{gate.query}"
        full = threads.submit(ask_at_once, site.port, [slow] * 8)

        shown: list[Reply] = []

        def is_shown() -> bool:
            shown.append(visit(site, FIGURES, **{access.COOKIE: access.key_of_link()}))
            return shown[-1].status == 200

        wait_until(is_shown, "the page is shown without a login")
        gate.open()
        full.result()

    assert "no connection is free" in texts(shown[-1])["state"]
    assert visit(site, FIGURES, **{access.COOKIE: access.key_of_link()}).status == 302
    assert_within(shown[-1].seconds, 1)


def test_it_shows_a_process_that_was_killed(site: Application) -> None:
    killed = site.workers()[0]
    wait_until(lambda: str(killed) in as_root(site)["processes"], "it has reported")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len({*site.workers()} - {killed}) == 2, "it is replaced")
    wait_until(site.is_up, "the server answers")
    said = f"{killed} killed by SIGKILL"
    wait_until(lambda: said in as_root(site)["restarts"], "the restart is shown")

    assert f"{killed} ended" in as_root(site)["processes"]


@repeated_if_stalled
def test_it_answers_while_the_database_is_stopped(site: Application, server: PostgreSQL) -> None:
    key = key_in(visit(site, FIGURES, sessionid=SESSION))
    server.stop("immediate")
    try:
        wait_until(lambda: "not over" in with_key(site, key)["outages"], "it is noticed")
        figures = visit(site, FIGURES, **{access.COOKIE: key})
        page = visit(site, **{access.COOKIE: key})
        refused = [
            visit(site),
            visit(site, sessionid=SESSION),
            visit(site, **{access.COOKIE: key[:-2] + "xx"}),
            visit(site, FIGURES, sessionid=SESSION),
        ]
    finally:
        server.start()

    sections = texts(figures)
    assert "Problem: The database does not answer" in sections["state"]
    assert "refused" in sections["outages"]
    assert "password" not in str(sections)
    assert page.status == 200
    assert b"Connections held longest" in page.content
    assert b"Log out" not in page.content
    assert [reply.status for reply in refused] == [503] * 4
    assert b"database_page_link" in refused[1].content
    wait_until(lambda: ask(site.port, "/api/test/select-1").status == 200, "it has recovered")
    wait_until(lambda: "not over" not in as_root(site)["outages"], "the outage is over")
    assert re.search(r"\d s connection failed", as_root(site)["outages"])
    assert_within(slowest([figures, page, *refused]), 1)


@repeated_if_stalled
def test_it_answers_while_the_database_is_frozen(site: Application, server: PostgreSQL) -> None:
    as_root(site)
    server.freeze()
    try:
        replies = [
            visit(site, path, **cookies)
            for _ in range(3)
            for path in (PAGE, FIGURES)
            for cookies in ({access.COOKIE: access.key_of_link()}, {"sessionid": SESSION})
        ]
    finally:
        server.thaw()

    assert [reply.status for reply in replies] == [200, 503] * 6
    wait_until(lambda: "No problem" in as_root(site)["state"], "it has recovered")
    assert_within(slowest(replies), 1)


def test_it_says_when_the_connections_do_not_fit(site: Application, server: PostgreSQL) -> None:
    server.execute("ALTER ROLE conduit CONNECTION LIMIT 7")
    try:
        sentence = as_root(site)["state"]
    finally:
        server.execute("ALTER ROLE conduit CONNECTION LIMIT -1")

    assert f"Problem: The server needs 2 x ({POOL_MAX} + 1) = 8 connections, but" in sentence
    assert 'the CONNECTION LIMIT of the role "conduit" is 7' in sentence


def test_a_role_without_rights_sees_the_names_of_other_clients_only(server: PostgreSQL) -> None:
    server.execute("CREATE ROLE stranger LOGIN")
    params: dict[str, Any] = {"host": str(server.folder), "port": server.port, "dbname": DATABASE}
    with (
        server.session() as other,
        Connection.connect(**params, user="stranger", autocommit=True) as own,
        Connection.connect(**params, user="stranger", application_name="second") as second,
    ):
        other.execute("SELECT 'a secret'")
        second.execute("SELECT 1")  # in a transaction
        activity = read_activity(database_wrapper(), own, add_up([], 0))

    clients = {client.application: client for client in activity.clients}
    assert activity.role == "stranger"
    assert activity.hidden == activity.total - 1 == activity.others - 1
    hidden, seen = clients[OBSERVER], clients["second"]
    assert (hidden.user, hidden.database, hidden.state, hidden.address) == (ROLE, DATABASE, "", "")
    assert (seen.state, seen.address) == ("idle in transaction", "unix socket")
    assert seen.transaction_seconds is not None
    assert "secret" not in str(activity)
    assert activity.clients[0] is seen  # the oldest transaction


def test_a_link_is_printed_and_accepted_while_the_database_is_stopped(
    site: Application, server: PostgreSQL
) -> None:
    server.stop("immediate")
    try:
        process = run("manage.py", "database_page_link", DATABASE_URL=server.url())
        assert process.returncode == 0, process.stderr
        entered = ask(site.port, process.stdout.strip())
        assert (entered.status, entered.headers["location"]) == (302, PAGE)
        assert "does not answer" in with_key(site, key_in(entered))["state"]
    finally:
        server.start()
    wait_until(lambda: ask(site.port, "/api/test/select-1").status == 200, "it has recovered")


def test_a_server_without_a_folder_shows_one_process_and_says_so(server: PostgreSQL) -> None:
    with serving(server.url(), {"DEBUG": "on"}, command=runserver) as site:
        sections = as_root(site)

    assert "only the process that answers" in sections["state"]
    assert sections["processes"].count("running") == 1
    assert "only one process" in sections["restarts"]
