"""The costs of a request on a small site and on one that is fifty times larger."""

from contextlib import ExitStack
from statistics import median

import psycopg

from tests.benchmarks import rounds, sql, subjects
from tests.benchmarks.kept import site
from tests.benchmarks.questions import BELOVED, FLAT, PLAIN
from tests.benchmarks.report import Row, at_most
from tests.benchmarks.rounds import Case
from tests.database.servers import PostgreSQL

CLIENTS = 8
LIMIT = 1.15
COMBINED = {
    "author and tag": "an author of 2,000 and a tag of 50,000",
    "favorited and tag": "a reader's 1,000 favorites and that tag",
    "feed and tag": "50 followed and that tag",
}


def compare(times: int, seconds: float) -> list[Row]:
    """Compare 1,000,000 articles with 20,000; print all figures, return those with a target."""
    with ExitStack() as stack:
        small, large = [stack.enter_context(site(name)) for name in ("small", "large")]
        few, many = [stack.enter_context(subjects.this_project(each)) for each in (small, large)]
        cases = {}
        for name, question in FLAT.items():
            cases[name, "small"] = Case(few, question)
            cases[name, "large"] = Case(many, question)
        cases["beloved", "large"] = Case(many, BELOVED)
        cases["plain", "large"] = Case(many, PLAIN)
        costs = rounds.measure_interleaved(cases, rounds=times, seconds=seconds, clients=CLIENTS)
        print(f"\nCPU µs a request, {CLIENTS} clients; medians of {times} rounds\n")
        print(f"{'':34} small   large   ratio")
        rows = [
            _row(f"CPU at 1,000,000 articles against 20,000: {name}", name, few_costs, many_costs)
            for name in FLAT
            for few_costs, many_costs in [(costs[name, "small"], costs[name, "large"])]
        ]
        beloved = _row(
            "CPU of articles with 200,000 favorites each against 5 each",
            "200,000 favorites against 5",
            costs["plain", "large"],
            costs["beloved", "large"],
        )
        return [*rows, beloved, *combine(large)]


def _row(what: str, name: str, fewer: list[rounds.Cost], more: list[rounds.Cost]) -> Row:
    ratio = rounds.ratio_of_cpu(more, fewer)
    columns = f"{rounds.typical(fewer).cpu:6.0f}{rounds.typical(more).cpu:8.0f}"
    print(f"{name:34}{columns}{ratio:8.2f}")
    return at_most(what, ratio, LIMIT, " x")


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
