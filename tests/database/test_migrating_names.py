"""The migration of names that are not normalized and not folded by NFKC."""

from typing import LiteralString

from tests.database.servers import PostgreSQL, migrated
from tests.processes import run_forked

TWIN = "jane\u034f"
MANY = 20_000  # rows, for several batches
USERS: LiteralString = """
    INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
        username_folded, is_active, is_staff, created_at)
        SELECT n, '!', false, n, n, n, n, true, false, now() FROM generate_series(1, %s) AS n
"""
USER: LiteralString = """
    INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
        username_folded, is_active, is_staff, created_at)
        VALUES (%s, '!', false, %s, %s, %s, %s, true, false, now())
"""


def migrate(server: PostgreSQL, *target: str) -> tuple[int, str]:
    command = ("manage.py", "migrate", "--skip-checks", "--verbosity=0", *target)
    process = run_forked(*command, DATABASE_URL=server.url())
    return process.returncode, process.stderr


def test_the_migration_stops_with_a_message_at_two_accounts_with_one_name() -> None:
    with migrated() as server:
        assert migrate(server, "users", "0001") == (0, "")
        server.execute(USERS, [MANY])
        ids = [MANY + number for number in range(1, 5)]
        # Names as version 0.1 stores them.
        names = [
            ("jane", "jane"),
            (TWIN, TWIN),
            ("\uff22ob", "\uff42ob"),
            ("rene\u0301", "ren\u00e9"),
        ]
        for pk, (username, folded) in zip(ids, names, strict=True):
            server.execute(USER, [pk, f"{pk}@example.com", f"{pk}@example.com", username, folded])
        untouched = server.execute("SELECT ctid FROM users_user WHERE id <= %s", [ids[0]])

        status, words = migrate(server)
        assert status == 1
        assert words.startswith("CommandError: These pairs of accounts have the same username")
        assert f"  username: user {ids[0]} ('jane') and user {ids[1]} ('jane\\u034f')\n" in words
        assert "example.com" not in words
        assert "Traceback" not in words

        server.execute("UPDATE users_user SET username = 'janet' WHERE id = %s", [ids[1]])
        assert migrate(server) == (0, "")
        stored = "SELECT username, username_folded FROM users_user WHERE id >= %s ORDER BY id"
        assert server.execute(stored, [ids[0]]) == [
            ("jane", "jane"),
            ("janet", "janet"),
            ("\uff22ob", "bob"),
            ("ren\u00e9", "ren\u00e9"),
        ]
        same = server.execute("SELECT ctid FROM users_user WHERE id <= %s", [ids[0]])
        assert same == untouched
        process = run_forked("manage.py", "verify_names", DATABASE_URL=server.url())
        assert process.stdout == "Every username and e-mail is right.\n", process.stderr
