"""A process forks while its connection is in use, broken or closed."""

import pytest

from tests.processes import database_url, run
from tests.stalls import assert_within, repeated_if_stalled

FORK = """
import os, sys, time
import django; django.setup()
from django.db import connection

def ask(statement="SELECT pg_backend_pid()"):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]

pid = ask()
state = sys.argv[1]
if state == "broken":
    with connection._nodb_cursor() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    connection.connection.ping(1)
elif state == "closed":
    connection.connection.close()

child = os.fork()
if child == 0:
    started = time.monotonic()
    theirs = ask()
    print("child", theirs != pid, time.monotonic() - started, flush=True)
    os._exit(0)
os.waitpid(child, 0)
connection.close()
print("parent", (ask() == pid) == (state == "in use"))
"""


@pytest.mark.parametrize("state", ["in use", "broken", "closed"])
@repeated_if_stalled
def test_the_child_opens_new_connections_and_the_parent_keeps_its_own(db: None, state: str) -> None:
    process = run(
        "-c",
        FORK,
        state,
        DJANGO_SETTINGS_MODULE="config.settings",
        DATABASE_URL=database_url(),
        DATABASE_POOL_MIN="1",
        DATABASE_POOL_MAX="1",
    )

    assert "Traceback" not in process.stderr
    child, parent = process.stdout.splitlines()
    assert child.startswith("child True ")
    assert parent == "parent True"
    assert_within(float(child.split()[-1]), 1)
