"""The same on a server that sorts and compares in another way; it is skipped where there is
none with ICU, which the embedded one has not."""

from tests.database.servers import PostgreSQL
from tests.processes import run

# Those with something to sort, to compare or to fold: tags, slugs, e-mails, constraints.
TESTS = [
    "tests/api/test_list_comments.py",
    "tests/api/test_list_tags.py",
    "tests/api/test_login_user.py",
    "tests/rules/test_constraints.py",
    "tests/rules/test_export_articles.py",
    "tests/rules/test_folding.py",
    "tests/rules/test_slugs.py",
]


def test_nothing_depends_on_the_collation_of_the_database() -> None:
    pytest_quietly = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with PostgreSQL(icu=True) as server:
        # As English does it; the embedded server sorts by code point.
        assert server.execute("SELECT 'a' < 'B' AND 'B' < 'c'") == [(True,)]

        process = run(*pytest_quietly, *TESTS, DATABASE_URL=server.url())

    assert process.returncode == 0, process.stdout + process.stderr
