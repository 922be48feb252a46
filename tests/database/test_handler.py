"""The WSGI handler of `config.wsgi`: what it leaves out of Django's work around a request."""

import json
from typing import Any

import pytest

from tests.processes import database_url, run_forked

PROGRAM = """if True:
    import json
    from wsgiref.util import setup_testing_defaults
    from config import wsgi
    from django.db import connection

    def ask(path):
        environ = {"PATH_INFO": path, "HTTP_HOST": "localhost"}
        setup_testing_defaults(environ)
        return b"".join(wsgi.application(environ, lambda *_: None)).decode()
"""


def printed(program: str, **variables: str) -> Any:
    """What the program prints, as JSON. It runs after PROGRAM, in a process of its own."""
    process = run_forked("-c", PROGRAM + program, DATABASE_URL=database_url(), **variables)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.parametrize("debug", ["on", "off"])
def test_the_log_of_queries_does_not_grow_with_the_requests(
    transactional_db: None, debug: str
) -> None:
    numbers = printed(
        """
    def queries():
        ask("/api/tags")
        return len(connection.queries)

    print(json.dumps([queries() for _ in range(3)]))
    """,
        DEBUG=debug,
    )

    assert numbers == [{"on": 1, "off": 0}[debug]] * 3


def test_each_path_gets_its_own_view_and_arguments(transactional_db: None) -> None:
    answers = printed("""
    paths = ["/api/articles/a", "/api/profiles/b", "/api/profiles/c", "/nothing"] * 2
    print(json.dumps([ask(path) for path in paths]))
    """)

    article, profile = (
        '{"errors":{"article":["not found"]}}',
        '{"errors":{"profile":["not found"]}}',
    )
    assert answers[:3] == answers[4:7] == [article, profile, profile]
    assert "This page does not exist" in answers[3]
    assert "This page does not exist" in answers[7]


def test_the_cache_of_paths_is_bounded(transactional_db: None) -> None:
    size, after_long_paths = printed("""
    for number in range(1_100):
        ask(f"/api/nothing/{number}")
    size = wsgi._resolved.cache_info().currsize
    wsgi._resolved.cache_clear()
    for number in range(3):
        ask(f"/api/nothing/{number}/" + 200 * "x")
    print(json.dumps([size, wsgi._resolved.cache_info().currsize]))
    """)

    assert size == 1_000
    assert after_long_paths == 0


def test_a_persistent_connection_past_its_lifetime_serves_no_request(
    transactional_db: None,
) -> None:
    first, soon, late = printed(
        """
    import time

    def session():
        ask("/api/tags")
        return connection.connection and connection.connection.info.backend_pid

    first, soon = session(), session()
    time.sleep(4)
    print(json.dumps([first, soon, session()]))
    """,
        DATABASE_CONNECTIONS="persistent",
        DATABASE_MAX_LIFETIME="4",
    )

    assert first == soon
    assert late not in (None, first)
