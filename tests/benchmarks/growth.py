"""The costs of a request on a small site and on one that is fifty times larger."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import psycopg

from tests.benchmarks import everyday, rounds, sql, subjects
from tests.benchmarks.kept import site
from tests.benchmarks.questions import BELOVED, FLAT, PLAIN, Question, next_page
from tests.benchmarks.report import Row, at_most
from tests.benchmarks.rounds import Case
from tests.benchmarks.subjects import Server
from tests.database.servers import PostgreSQL

LIMIT = 1.15
COMBINED = {
    "author and tag": "an author of 2,000 and a tag of 50,000",
    "favorited and tag": "a reader's 1,000 favorites and that tag",
    "feed and tag": "50 followed and that tag",
}


def compare(times: int, seconds: float) -> list[Row]:
    """Compare 1,000,000 articles with 20,000; print all figures, return those with a target."""
    print(f"\n1,000,000 articles against 20,000; {rounds.CLIENTS} clients, {times} rounds")
    print("CPU µs a request of server + PostgreSQL\n")
    print(f"{'fewer':>71}{'more':>13}   ratio  least to most")
    return [*_compare_demo(times, seconds), *_compare_extremes(times, seconds)]


def _compare_demo(times: int, seconds: float) -> list[Row]:
    with _sites("demo-small", "demo-large") as (few, many):
        asked = everyday.questions(many.postgresql)
        pairs = {
            f"demo content, {name}": (Case(few, question), Case(many, asked[name]))
            for name, question in everyday.questions(few.postgresql).items()
        }
        first = asked["list of 20"]
        deep = Question(next_page(many, Question(f"{first.path}&offset=900000")))
        assert "before=" in deep.path, deep
        pairs["demo content, a deep page by key against the first page"] = (
            Case(many, first),
            Case(many, deep),
        )
        return _rows(pairs, times, seconds)


def _compare_extremes(times: int, seconds: float) -> list[Row]:
    with _sites("small", "large") as (few, many):
        pairs = {
            name: (Case(few, question), Case(many, question)) for name, question in FLAT.items()
        }
        pairs["200,000 favorites each against 5"] = (Case(many, PLAIN), Case(many, BELOVED))
        return [*_rows(pairs, times, seconds), *combine(many.postgresql)]


@contextmanager
def _sites(small: str, large: str) -> Iterator[tuple[Server, Server]]:
    with (
        site(small) as few,
        site(large) as many,
        subjects.this_project(few) as few_server,
        subjects.this_project(many) as many_server,
    ):
        yield few_server, many_server


def _rows(pairs: dict[str, tuple[Case, Case]], times: int, seconds: float) -> list[Row]:
    cases = {(name, place): case for name, pair in pairs.items() for place, case in enumerate(pair)}
    costs = rounds.measure_interleaved(cases, rounds=times, seconds=seconds)
    return [_row(name, costs[name, 0], costs[name, 1]) for name in pairs]


def _row(name: str, fewer: list[rounds.Cost], more: list[rounds.Cost]) -> Row:
    ratios = rounds.ratios_of_cpu(more, fewer)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    columns = "".join(
        f"{f'{cost.server:.0f} + {cost.postgresql:.0f}':>13}"
        for cost in map(rounds.typical, (fewer, more))
    )
    print(f"{name:58}{columns}{median(ratios):8.2f}{spread:>15}")
    return at_most(f"CPU at 1,000,000 articles: {name}", median(ratios), LIMIT, " x")


def combine(large: PostgreSQL, times: int = 31) -> list[Row]:
    """The time PostgreSQL needs to plan and run a page with several filters and its total."""
    asked = sql.statements(large)
    return [
        at_most(f"PostgreSQL: {what}", _spent(large, asked[name], times), 5, " ms")
        for name, what in COMBINED.items()
    ]


def _spent(postgresql: PostgreSQL, statement: sql.Statement, times: int) -> float:
    """The median planning and execution time in milliseconds.

    The statement is prepared, so PostgreSQL may choose a generic plan after five runs. TIMING OFF,
    because reading the clock in every plan node would take most of the time.
    """
    places = ", ".join(["%s"] * len(statement.values))
    explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE asked({places})"
    with psycopg.connect(postgresql.url(), autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(f"PREPARE asked AS {statement.text}")
        plans = [cursor.execute(explain, statement.values).fetchall() for _ in range(times)]
    spent = [plan["Planning Time"] + plan["Execution Time"] for (((plan,),),) in plans]
    return float(median(spent))
