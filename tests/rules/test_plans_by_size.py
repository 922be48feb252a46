"""The plans of all declared queries on sites of different sizes, from no article to a million.

PostgreSQL plans for the sizes that the tables have at that moment. A session keeps a generic plan
until the statistics change. So a plan must be good for a larger site too.

Refused is a scan of a whole table or a whole index that runs again for each row of something else:
the inner side of a nested loop, or a subquery of a row. Its cost is the product of two sizes. A
scan of a whole index is one whose condition does not restrict the first column of the index.

Allowed is a whole scan that runs once, for example under the Hash of a hash join: its cost grows
like the table. With a million articles it is refused too, unless a LIMIT ends it. Allowed is also
a scan of a table of two pages and a hundred rows: an index lookup reads two pages too. PostgreSQL
knows this size only if the table was analyzed; else it plans for ten pages.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any, LiteralString, NamedTuple

import psycopg
import pytest

from database.prepared import Prepared, queries_of
from tests.database import clusters
from tests.database.servers import PostgreSQL, migrated
from tests.processes import run
from tests.rules.planning import VALUES, explain, modes_of, plan_of, prepared, session_of
from tests.rules.test_plans import CONTENT

pytestmark = [
    pytest.mark.django_db,  # the compiled SQL depends on the version of the server
    pytest.mark.plans,
]

# Without the queries that tests declare.
QUERIES = [query for query in queries_of("default") if not query.name.startswith("tests.")]
# The queries and shapes that PostgreSQL executes with generic plans.
GENERIC = [
    (query, shape)
    for query in QUERIES
    for shape in query.shapes()
    if not shape.parameters & {"limit", "offset"}
]
UNKNOWN = dict.fromkeys(VALUES, "nobody") | {
    name: 0 if isinstance(value, int) else value
    for name, value in VALUES.items()
    if not isinstance(value, str)
}
UNKNOWN |= {"limit": 1, "offset": 10_000}

# For each index, its table and its first column.
INDEXES = """
    SELECT index.relname, indrelid::regclass::text, pg_get_indexdef(indexrelid, 1, false)
    FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace
"""
TABLES = """
    SELECT relname, pg_relation_size(oid) / current_setting('block_size')::int, reltuples
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


class WholeScan(NamedTuple):
    """A scan of a whole table or index."""

    kind: str
    table: str
    index_name: str
    is_repeated: bool
    is_limited: bool
    """Whether a LIMIT ends the scan."""


class Table(NamedTuple):
    pages: int
    rows: float
    """-1 if the table was never analyzed."""

    @property
    def is_tiny(self) -> bool:
        return self.pages <= 2 and 0 <= self.rows <= 100

    @property
    def is_large(self) -> bool:
        return self.pages > 100


class Site:
    """A database with content."""

    def __init__(self, session: psycopg.Connection) -> None:
        self.session = session
        self.indexes = {name: (table, column) for name, table, column in session.execute(INDEXES)}
        self.tables = {name: Table(*size) for name, *size in session.execute(TABLES)}

    def whole_scans(self, plan: dict[str, Any]) -> Iterator[WholeScan]:
        yield from self._below(plan, is_repeated=False, is_limited=False)

    def _below(
        self, node: dict[str, Any], *, is_repeated: bool, is_limited: bool
    ) -> Iterator[WholeScan]:
        kind = node["Node Type"]
        index = node.get("Index Name", "")
        if kind == "Seq Scan":
            yield WholeScan(kind, node["Relation Name"], "", is_repeated, is_limited)
        elif index:
            table, column = self.indexes[index]
            if not re.search(rf"\b{column}\b", node.get("Index Cond", "")):
                yield WholeScan(kind, table, index, is_repeated, is_limited)
        for child in node.get("Plans", ()):
            yield from self._below(
                child,
                is_repeated=_runs_again(node, child, is_repeated),
                is_limited=kind == "Limit" or (is_limited and kind in PASSES_ON),
            )

    def is_refused(self, scan: WholeScan) -> bool:
        table = self.tables[scan.table]
        return not table.is_tiny if scan.is_repeated else table.is_large and not scan.is_limited


# Nodes that stop to read their (first) child when they need no more rows.
PASSES_ON = {"Nested Loop", "Subquery Scan", "Result", "Memoize", "Incremental Sort"}


def _runs_again(node: dict[str, Any], child: dict[str, Any], is_repeated: bool) -> bool:
    """Whether the child runs more than once for each run of the whole query."""
    match child["Parent Relationship"]:
        case "InitPlan":
            return is_repeated
        case "SubPlan":
            # PostgreSQL fills the hash table of a "hashed SubPlan" once.
            return is_repeated or f"hashed {child['Subplan Name']}" not in str(node)
        case "Inner" if node["Node Type"] == "Nested Loop":
            # Materialize runs its child once. But a nested loop then reads all of its rows again,
            # which are few only if a LIMIT bounds them.
            rows = child
            while rows["Node Type"] in ("Materialize", "Subquery Scan"):
                (rows,) = rows["Plans"]
            return (
                is_repeated or child["Node Type"] != "Materialize" or rows["Node Type"] != "Limit"
            )
    return is_repeated


def fill_demo(articles: int, users: int) -> Callable[[PostgreSQL], None]:
    def fill(server: PostgreSQL) -> None:
        process = run(
            "manage.py",
            "demo_data",
            f"--articles={articles}",
            f"--users={users}",
            DATABASE_URL=server.url(),
            DATABASE_STATEMENT_TIMEOUT="60",
            DATABASE_HARD_DEADLINE="90",
            DEBUG="on",
        )
        assert process.returncode == 0, process.stderr

    return fill


def execute(statements: LiteralString) -> Callable[[PostgreSQL], None]:
    def fill(server: PostgreSQL) -> None:
        with server.session() as session:
            for statement in statements.split(";"):
                session.execute(statement)

    return fill


SITES = {
    "empty": execute("SELECT"),
    "analyzed while empty": execute("ANALYZE"),
    "200 articles": fill_demo(200, 30),
    "20,000 articles": fill_demo(20_000, 1_000),
}


@contextmanager
def site_of(
    fill: Callable[[PostgreSQL], None], kind: clusters.Kind, **settings: Any
) -> Iterator[Site]:
    server = migrated(autovacuum="off", **settings)
    server.kind = kind
    with server:
        fill(server)
        with session_of(server) as session:
            yield Site(session)


@pytest.fixture(scope="module", params=["embedded", "debian"])
def kind(request: pytest.FixtureRequest) -> clusters.Kind:
    return clusters.embedded() if request.param == "embedded" else clusters.debian(icu=False)


@pytest.fixture(scope="module", params=SITES)
def site(request: pytest.FixtureRequest, kind: clusters.Kind) -> Iterator[Site]:
    with site_of(SITES[request.param], kind) as site:
        yield site


@pytest.fixture(scope="module")
def million(million_server: PostgreSQL) -> Iterator[Site]:
    with session_of(million_server) as session:
        yield Site(session)


def refused(site: Site, query: Prepared[..., Any]) -> list[tuple[str, str, WholeScan]]:
    found = []
    for shape in query.shapes():
        for mode in modes_of(query, shape):
            for values in (VALUES, UNKNOWN) if mode == "force_custom_plan" else (VALUES,):
                plan = plan_of(site.session, query, shape, mode, values)
                scans = filter(site.is_refused, site.whole_scans(plan))
                found += [(str(shape), mode, scan) for scan in scans]
    return found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_no_plan_scans_a_whole_table_for_each_row(site: Site, query: Prepared[..., Any]) -> None:
    assert refused(site, query) == []


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_no_plan_scans_a_whole_table_of_a_million_articles(
    million: Site, query: Prepared[..., Any]
) -> None:
    assert refused(million, query) == []


@pytest.mark.parametrize("start", ["empty", "analyzed while empty"])
def test_a_session_that_planned_on_the_empty_site_plans_again_after_analyze(start: str) -> None:
    """Autovacuum runs ANALYZE on a table that has grown.

    Without statistics PostgreSQL takes almost all rows for hidden, because it assumes that one row
    in 200 has no value in `hidden_at`. So before ANALYZE, some plans read whole indexes.
    """
    with ExitStack() as stack:
        server = stack.enter_context(migrated(autovacuum="off"))
        SITES[start](server)
        session = stack.enter_context(session_of(server))
        session.execute("SET plan_cache_mode = force_generic_plan")
        statements = [
            stack.enter_context(prepared(session, query.compiled(shape), VALUES, f"query_{number}"))
            for number, (query, shape) in enumerate(GENERIC)
        ]
        for statement in statements:
            explain(session, statement)

        execute(CONTENT)(server)
        session.execute("ANALYZE")

        site = Site(session)
        scans = {*chain(*(site.whole_scans(explain(session, each)) for each in statements))}
        assert {scan for scan in scans if site.is_refused(scan)} == set()
