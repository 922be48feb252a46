"""The SQL of the project's prepared queries, for the other stacks.

    python -m tests.benchmarks.sql

prints it as JSON for the schema at DATABASE_URL. It is another process, because a Django process
cannot change its database.
"""

import json
from typing import Any, NamedTuple

import django

from database.prepared.declaring import Prepared
from tests.benchmarks.content import READERS
from tests.database.servers import PostgreSQL
from tests.processes import run

VIEWER = READERS["viewer"]
COMMON = "common"


class Statement(NamedTuple):
    text: str
    """SQL with the placeholders $1, $2, and so on."""
    values: list[Any]


def statements(postgresql: PostgreSQL) -> dict[str, Statement]:
    """By name: the user of a token, a page, and pages with several filters."""
    process = run("-m", __name__, DATABASE_URL=postgresql.url())
    assert process.returncode == 0, process.stderr
    return {name: Statement(*parts) for name, parts in json.loads(process.stdout).items()}


def main() -> None:
    django.setup()
    from articles.queries import list_articles
    from users.queries import active_user

    fifty = READERS["follows50"]
    pages: dict[str, dict[str, Any]] = {
        "page": {"viewer": VIEWER},
        "author and tag": {"viewer": VIEWER, "author": "prolific", "tag": COMMON},
        "favorited and tag": {"viewer": VIEWER, "favorited_by": "reader-of-1000", "tag": COMMON},
        "feed and tag": {"viewer": fifty, "feed_of": fifty, "tag": COMMON},
    }
    calls: list[tuple[str, Prepared[..., Any], dict[str, Any]]] = [
        ("user", active_user, {"pk": VIEWER})
    ]
    calls += [(name, list_articles, arguments) for name, arguments in pages.items()]
    printed = {}
    for name, query, arguments in calls:
        text, parameters = query.compiled(query.shape_of(arguments))
        printed[name] = Statement(text, [arguments[parameter] for parameter in parameters])
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
