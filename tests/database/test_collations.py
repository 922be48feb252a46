"""Runs tests on a server with another collation; skipped without a PostgreSQL with ICU, which the
embedded server does not have."""

from tests.database.servers import PostgreSQL
from tests.processes import run

# The tests that sort, compare or fold: tags, slugs, e-mails, constraints.
TESTS = [
    "tests/api/test_list_comments.py",
    "tests/api/test_list_tags.py",
    "tests/api/test_login_user.py",
    "tests/rules/test_constraints.py",
    "tests/rules/test_export_articles.py",
    "tests/rules/test_folding.py",
    "tests/rules/test_slugs.py",
]


def test_the_tests_pass_with_another_collation() -> None:
    pytest_quietly = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with PostgreSQL(icu=True) as server:
        # The order of English; the embedded server sorts by code point.
        assert server.execute("SELECT 'a' < 'B' AND 'B' < 'c'") == [(True,)]

        process = run(*pytest_quietly, *TESTS, DATABASE_URL=server.url())

    assert process.returncode == 0, process.stdout + process.stderr
