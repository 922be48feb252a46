"""Everyday requests on the content of `manage.py demo_data`, compared with the limit.

The list is compared with other stacks too.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

from tests.benchmarks import limit, rounds, sql, subjects
from tests.benchmarks.kept import OLDEST, site
from tests.benchmarks.questions import Question, answer
from tests.benchmarks.report import Row, at_least, at_most
from tests.benchmarks.rounds import CLIENTS, Case, Cost
from tests.benchmarks.subjects import Server
from tests.database.servers import PostgreSQL

LIMIT, RAW, FASTAPI, DRF = "the limit", "our SQL, bare WSGI", "our SQL, FastAPI", "DRF"
LIST = "list of 20 with a token"
# CPU time of server and PostgreSQL, compared with that of the limit.
TARGETS = {
    LIST: 3.0,
    "list of 20": 2.6,
    "feed": 3.5,
    "article": 2.1,
    "comments": 2.05,
    "tags": 2.6,
    "user": 2.0,
    "/livez": 0.65,
}
# Requests of LIST per second, compared with those of the other stack.
RATES = {FASTAPI: 1.0, DRF: 9.0}

# A usual reader and a usual article. Sites of all sizes have them, so that two answers differ only
# by the size of the site around them.
READER = """
    SELECT follower_id FROM profiles_follow GROUP BY follower_id HAVING count(*) = 20
    ORDER BY follower_id LIMIT 1
"""
ARTICLE = """
    SELECT slug FROM articles_article AS article
    WHERE created_at > (SELECT max(created_at) - interval '30 days' FROM articles_article)
        AND length(body) BETWEEN 1000 AND 1100
        AND (SELECT count(*) FROM articles_tagging WHERE article_id = article.id) = 3
        AND (SELECT count(*) FROM articles_comment WHERE article_id = article.id) = 3
        AND (SELECT count(*) FROM articles_favorite WHERE article_id = article.id) = 3
    ORDER BY id LIMIT 1
"""


def questions(postgresql: PostgreSQL) -> dict[str, Question]:
    """The requests by name."""
    ((reader,),) = postgresql.execute(READER)
    ((slug,),) = postgresql.execute(ARTICLE)
    return {
        LIST: Question("/api/articles?limit=20", reader),
        "list of 20": Question("/api/articles?limit=20"),
        "feed": Question("/api/articles/feed?limit=20", reader),
        "article": Question(f"/api/articles/{slug}", reader),
        "comments": Question(f"/api/articles/{slug}/comments", reader),
        "tags": Question("/api/tags"),
        "user": Question("/api/user", reader),
        "/livez": Question("/livez"),
    }


def compare(times: int, seconds: float) -> list[Row]:
    """Print all figures; return those that have a target."""
    with site("demo-small") as postgresql, _stacks(postgresql) as stacks:
        costs, rows = _against_limit(postgresql, stacks, times, seconds)
    for name, bound in RATES.items():
        ratio = rounds.ratio_of_rates(costs[LIST], costs[name])
        rows.append(at_least(f"requests/s of a list against {name}", ratio, bound, " x"))
    return rows


def compare_oldest(times: int, seconds: float) -> list[Row]:
    """The same with the oldest PostgreSQL that the project supports, without other stacks."""
    if not OLDEST.programs.exists():
        print(f"\nNot measured: PostgreSQL 15, because there is no {OLDEST.programs}.")
        return []
    with site("demo-small", OLDEST) as postgresql:
        return _against_limit(postgresql, {}, times, seconds)[1]


def _against_limit(
    postgresql: PostgreSQL, stacks: dict[str, Server], times: int, seconds: float
) -> tuple[dict[str, list[Cost]], list[Row]]:
    asked = questions(postgresql)
    with limit.serving(postgresql) as lowest, subjects.this_project(postgresql) as ours:
        others = {LIMIT: lowest, **stacks}
        expected = answer(ours, asked[LIST])
        for name, server in others.items():
            assert answer(server, asked[LIST]) == expected, f"{name} gives another answer"
        cases = {name: Case(server, asked[LIST]) for name, server in others.items()}
        cases |= {name: Case(ours, question) for name, question in asked.items()}
        costs = rounds.measure_interleaved(cases, rounds=times, seconds=seconds)
    version = postgresql.execute("SHOW server_version")[0][0].split()[0]
    print(f"\nPostgreSQL {version}, demo content, 20,000 articles, {CLIENTS} clients,")
    print(f"2 workers of {subjects.THREADS} threads; medians of {times} rounds of {seconds:g} s\n")
    _print(costs)
    return costs, [
        at_most(
            f"{name}: CPU against the limit, PostgreSQL {version}",
            rounds.ratio_of_cpu(costs[name], costs[LIMIT]),
            bound,
            " x",
        )
        for name, bound in TARGETS.items()
    ]


def _print(costs: dict[str, list[Cost]]) -> None:
    print(f"{'':25}{'CPU µs a request':>25}    against")
    print(f"{'':25}server  PostgreSQL   both  the limit  least to most   requests/s  p50 / p99 ms")
    for name, each in costs.items():
        cost = rounds.typical(each)
        ratios = rounds.ratios_of_cpu(each, costs[LIMIT])
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        latencies = f"{cost.p50 * 1e3:.1f} / {cost.p99 * 1e3:.1f}"
        print(f"{name:25}{cost.server:6.0f}{cost.postgresql:12.0f}{cost.cpu:7.0f}", end="")
        print(f"{median(ratios):11.2f}{spread:>15}{cost.rate:13.0f}{latencies:>14}")


@contextmanager
def _stacks(postgresql: PostgreSQL) -> Iterator[dict[str, Server]]:
    statements = {name: text for name, (text, _) in sql.statements(postgresql).items()}
    with ExitStack() as stack:
        yield {
            RAW: stack.enter_context(subjects.raw_wsgi(postgresql, statements)),
            FASTAPI: stack.enter_context(subjects.fastapi(postgresql, statements)),
            DRF: stack.enter_context(subjects.drf(postgresql, statements)),
        }
