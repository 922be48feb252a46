"""This project compared with other stacks: a page of articles, with a token."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.benchmarks import content, rounds, sql, subjects
from tests.benchmarks.kept import site
from tests.benchmarks.pgbench import transactions
from tests.benchmarks.questions import LIST, answer
from tests.benchmarks.report import Row, at_least
from tests.benchmarks.statements import LOGGING, statements_of
from tests.benchmarks.subjects import Server
from tests.database.servers import PostgreSQL

CLIENTS = 16
OURS, RAW, FASTAPI, DRF = "this project", "raw psycopg in bare WSGI", "FastAPI + asyncpg", "DRF"
TARGETS = {RAW: 0.6, FASTAPI: 1.0, DRF: 9.0}

type Costs = dict[str, list[rounds.Cost]]


def compare(times: int, seconds: int) -> list[Row]:
    """Print all figures; return those that have a target."""
    with site("small", **LOGGING) as postgresql, _servers(postgresql) as servers:
        _assert_same_answers(servers)
        statements = {name: statements_of(server, LIST) for name, server in servers.items()}
    with site("small") as postgresql, _servers(postgresql) as servers:
        cases = {name: rounds.Case(server, LIST) for name, server in servers.items()}
        costs = rounds.measure_interleaved(cases, rounds=times, seconds=seconds, clients=CLIENTS)
        alone = _page_alone(postgresql, seconds * 2)
    print(f"\nGET {LIST.path} with a token, {content.SIZES['small'].articles:,} articles")
    print(f"{CLIENTS} clients, 2 workers each; medians of {times} rounds of {seconds} s\n")
    _print(costs, statements, alone)
    ratios = {name: rounds.ratio_of_rates(costs[OURS], costs[name]) for name in TARGETS}
    return [
        at_least(f"requests/s of a list against {name}", ratios[name], bound, " x")
        for name, bound in TARGETS.items()
    ]


def _print(costs: Costs, statements: dict[str, float], alone: float) -> None:
    print(f"{'':26} ratio  requests/s  CPU µs   p50 ms   p99 ms  statements")
    for name, each in costs.items():
        ratio = rounds.ratio_of_rates(costs[OURS], each)
        rate, cpu, p50, p99 = rounds.typical(each)
        latencies = f"{p50 * 1e3:9.1f}{p99 * 1e3:9.1f}"
        print(f"{name:26}{ratio:6.2f}{rate:12.0f}{cpu:8.0f}{latencies}{statements[name]:12.0f}")
    ratio = rounds.typical(costs[OURS]).rate / alone
    print(f"{'pgbench, that statement':26}{ratio:6.2f}{alone:12.0f}")


@contextmanager
def _servers(postgresql: PostgreSQL) -> Iterator[dict[str, Server]]:
    statements = {name: text for name, (text, _) in sql.statements(postgresql).items()}
    with ExitStack() as stack:
        yield {
            OURS: stack.enter_context(subjects.this_project(postgresql)),
            RAW: stack.enter_context(subjects.raw_wsgi(postgresql, statements)),
            FASTAPI: stack.enter_context(subjects.fastapi(postgresql, statements)),
            DRF: stack.enter_context(subjects.drf(postgresql, statements)),
        }


def _assert_same_answers(servers: dict[str, Server]) -> None:
    expected = answer(servers[OURS], LIST)
    for name, server in servers.items():
        assert answer(server, LIST) == expected, f"{name} gives another answer"


def _page_alone(postgresql: PostgreSQL, seconds: float) -> float:
    """The pages per second that PostgreSQL finds without a web server."""
    text, values = sql.statements(postgresql)["page"]
    variables = {f"value{place}": value for place, value in enumerate(values, 1)}
    script = re.sub(r"\$(\d+)", r":value\1", text) + ";\n"
    return transactions(postgresql.url(), script, seconds=seconds, variables=variables)
