"""Every test of Django's own suite that passes with the stock engine passes with this backend.

    python -m tests.django_suite [LABEL ...]

The labels run four times: with the stock engine, and with this backend in each mode. Where the
outcomes differ, the stock engine runs the test again in the mode of the backend. Without
arguments, the labels are those of the tests that depend on the database backend.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks import exit_on_sigterm
from tests.django_suite.comparison import PASSED, Comparison, Outcomes, compare
from tests.django_suite.runs import MODES, OURS, STOCK, has_contrib, run
from tests.django_suite.source import tests_folder

LABELS = [
    "backends",
    "transactions",
    "transaction_hooks",
    "db_utils",
    "expressions",
    "inspectdb",
    "introspection",
    "bulk_create",
    "db_functions",
    "postgres_tests",
    "schema",
    "test_runner",
    "migrations",
    "async",
    "delete",
    "delete_regress",
    "servers",
    "queries",
    "aggregation",
    "annotations",
    "select_for_update",
    "model_options",
    "user_commands",
    "test_utils",
]
# Their tables need extensions of contrib or collations of ICU.
NEED_CONTRIB = {"db_functions", "inspectdb", "postgres_tests"}
AT_ONCE = 2  # runs: each keeps about one core busy

# Tests that pass with the stock engine and fail with this backend, each with the reason.
DIFFERENCES = {
    "backends.postgresql.tests.Tests.test_pooling_health_checks": (
        "It looks into psycopg's pool for the check. This pool pings by itself, because psycopg"
        " sleeps after each check that fails."
    ),
    "backends.postgresql.tests.Tests.test_pool_check_can_be_overridden": (
        "It looks into psycopg's pool for the function of OPTIONS. This pool calls the function"
        " from its own, which bounds the time."
    ),
}


def main(labels: Sequence[str]) -> int:
    """Print the table and what is unexpected; return the exit status."""
    tests_folder()  # downloaded once, before the runs
    if not has_contrib():
        print(f"Without {', '.join(sorted(NEED_CONTRIB))}: there is no PostgreSQL with contrib")
        labels = [label for label in labels if label not in NEED_CONTRIB]
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        stock = threads.submit(run, STOCK, "per-request", labels)
        ours = [threads.submit(run, OURS, mode, labels) for mode in MODES]
        outcomes = [each.result() for each in ours]
        comparisons = threads.map(compared, [stock.result()] * len(MODES), outcomes, MODES)
    rows = {"stock engine": compare(stock.result(), stock.result(), ())}
    rows |= dict(zip(MODES, comparisons, strict=True))
    print_table(rows)
    print(f"\n{time.monotonic() - started:.0f} s")
    print_unexpected(rows)
    return 1 if any(row.unexpected for row in rows.values()) else 0


def compared(stock: Outcomes, ours: Outcomes, mode: str) -> Comparison:
    differing = [test for test, outcome in stock.items() if PASSED == outcome != ours.get(test)]
    # Some tests depend on the mode: with a pool, Django's tests of health checks are skipped.
    again = run(STOCK, mode, differing) if differing else {}
    return compare({**stock, **again}, ours, DIFFERENCES)


def print_table(rows: Mapping[str, Comparison]) -> None:
    columns = ("ran", "passed", "failed", "expected", "common", "skipped")
    print(f"{'':16}" + "".join(f"{column:>10}" for column in columns))
    for name, row in rows.items():
        print(f"{name:16}" + "".join(f"{getattr(row, column):10}" for column in columns))


def print_unexpected(rows: Mapping[str, Comparison]) -> None:
    for name, row in rows.items():
        for test, fault in sorted(row.unexpected.items()):
            print(f"\n{name}: {test}\n{fault}")


if __name__ == "__main__":
    exit_on_sigterm()
    sys.exit(main(sys.argv[1:] or LABELS))
