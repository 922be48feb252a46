"""Measures the figures of the plan and writes them to figures.json.

It takes 5 minutes, and 25 if the contents of the sites are not kept yet.
"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from time import process_time
from typing import Any, LiteralString

from redis import Redis

from tests.benchmarks import rounds, subjects
from tests.benchmarks.content import PASSWORD, READERS, SIZES
from tests.benchmarks.costs import cpu_of
from tests.benchmarks.kept import EMBEDDED, FOLDER, SERVING, InPlace, kept, site
from tests.benchmarks.pgbench import transactions
from tests.benchmarks.questions import LIST, VIEWER, Question
from tests.benchmarks.report import machine
from tests.benchmarks.rounds import Case
from tests.benchmarks.scale import figures, queries, standby
from tests.benchmarks.scale.figures import WriteCost
from tests.benchmarks.scale.writes import WRITES, cost_of
from tests.benchmarks.subjects import Server
from tests.benchmarks.writes import ARTICLE, FAVORITE, VARIABLES
from tests.database.servers import PostgreSQL, wait_until
from tests.processes import free_port
from users.hashers import Argon2Hasher

READS = {
    "list": Question("/api/articles?limit=20"),
    "list with a token": LIST,
    "tag": Question("/api/articles?tag=common&limit=20"),
    "feed": Question("/api/articles/feed?limit=20", READERS["follows20"]),
    "article": Question("/api/articles/article-number-500000"),
    "article with a token": Question("/api/articles/article-number-500000", VIEWER),
    "comments": Question("/api/articles/article-number-500000/comments"),
    "profile": Question("/api/profiles/prolific"),
    "user": Question("/api/user", VIEWER),
    "tags": Question("/api/tags"),
    "search": Question("/search?q=the"),
}
COMPARED = ("list", "list with a token", "user")
# No checkpoint begins by itself. Autovacuum and the statistics of SERVING stay off.
SETTINGS: dict[str, object] = {"max_wal_size": "30GB", "checkpoint_timeout": "1d"}
SIZES_OF_TABLES: LiteralString = """
SELECT tables.relname, greatest(tables.reltuples, 1)::bigint, pg_relation_size(tables.oid),
       coalesce((
           SELECT json_object_agg(classes.relname, pg_relation_size(indexrelid))
           FROM pg_index JOIN pg_class AS classes ON classes.oid = indexrelid
           WHERE indrelid = tables.oid
       ), '{}')
FROM pg_class AS tables
WHERE relkind = 'r' AND relname = ANY (%s) ORDER BY tables.relname
"""
TABLES = [
    *("users_user", "profiles_follow", "articles_article", "articles_tagging"),
    *("articles_favorite", "articles_comment", "articles_tally"),
    *("articles_articletext", "articles_commenttext"),
]
# Each commit then takes at least 2 ms, as with a synchronous standby.
COMMIT_DELAY: tuple[LiteralString, ...] = (
    "ALTER SYSTEM SET commit_siblings = 0",
    "ALTER SYSTEM SET commit_delay = 2000",
    "SELECT pg_reload_conf()",
)
# The embedded PostgreSQL has no lz4, which would take less CPU time.
COMPRESSION: tuple[LiteralString, ...] = (
    "ALTER SYSTEM SET wal_compression = pglz",
    "SELECT pg_reload_conf()",
)
HOT = {
    "favorites of any articles": FAVORITE,
    "favorites of one article": FAVORITE.replace("random(1, :articles)", "7"),
    "articles": ARTICLE,
}


def main(*, with_huge: bool) -> None:
    """Each part is saved at once."""
    figures.save({"machine": machine(), "redis µs": _redis()})
    with _copy("small") as postgresql:
        _rows(postgresql, SIZES["small"].articles)
        with _redis_server() as (port, _):
            compared = standby.ratios(postgresql, port, {name: READS[name] for name in COMPARED})
        figures.save({"reads on a standby": compared})
    with _copy("large") as postgresql:
        _rows(postgresql, SIZES["large"].articles)  # also adds the words, for searches
        with subjects.this_project(postgresql) as server:
            _requests(server)
        figures.save({"hot": _hot(postgresql)})
        queries.execute(postgresql, queries.MANY_TAGS)
        figures.save({"many tags": queries.measure(postgresql)["tags"]})
    # 5 million articles take half an hour to load, and no other benchmark uses them.
    if with_huge:
        with site("huge") as postgresql:
            _rows(postgresql, SIZES["huge"].articles)


@contextmanager
def _copy(name: str) -> Iterator[InPlace]:
    """A server with a copy of the site, which is deleted at the end of the block."""
    folder = FOLDER / f"copy-of-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept(name, EMBEDDED), folder)
    try:
        with InPlace(folder, EMBEDDED, **SERVING, **SETTINGS) as postgresql:
            yield postgresql
    finally:
        shutil.rmtree(folder)


def _requests(server: Server) -> None:
    reads = _reads(server)
    # A login reads the account, hashes the password, and seldom writes. It is not requested here,
    # because logins have limits.
    login = WriteCost(reads["user"]["api"] + _hash(), reads["user"]["postgresql"], 0, 0, 0)
    figures.save({"reads": reads, "writes": _writes(server, 2_000, login)})
    for statement in COMPRESSION:
        server.postgresql.execute(statement)
    figures.save({"writes with wal_compression": _writes(server, 1_000, login)})


def _rows(postgresql: PostgreSQL, articles: int) -> None:
    queries.execute(postgresql, queries.EXTRA)
    found = {"queries": queries.measure(postgresql), "tables": _tables(postgresql)}
    measured = figures.load().measured
    for what, of_site in found.items():
        sites = measured[what] | {str(articles): of_site}
        figures.save({what: dict(sorted(sites.items(), key=lambda item: int(item[0])))})


def _reads(server: Server) -> dict[str, dict[str, float]]:
    """Of the cheapest round: other programs on the machine make the CPU time larger."""
    cases = {name: Case(server, question) for name, question in READS.items()}
    costs = rounds.measure_interleaved(cases, rounds=5, seconds=1)
    least = {name: min(each, key=lambda cost: cost.cpu) for name, each in costs.items()}
    return _rounded(
        {name: {"api": cost.server, "postgresql": cost.postgresql} for name, cost in least.items()}
    )


def _writes(server: Server, times: int, login: WriteCost) -> dict[str, dict[str, float]]:
    costs = {name: cost_of(name, server, times) for name in WRITES} | {"login": login}
    return _rounded({name: cost._asdict() for name, cost in costs.items()})


def _hash() -> float:
    """The CPU time of hashing a password, in microseconds: the least of ten."""
    spent = []
    for _ in range(10):
        started = process_time()
        Argon2Hasher().encode(PASSWORD, "the same in every run")
        spent.append(process_time() - started)
    return min(spent) * 1e6


def _rounded(costs: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {
        name: {what: round(value) for what, value in cost.items()} for name, cost in costs.items()
    }


def _tables(postgresql: PostgreSQL) -> dict[str, Any]:
    """Rows, bytes of the table and of each index, by table."""
    return {
        name: {"rows": rows, "table": size, "indexes": indexes}
        for name, rows, size, indexes in postgresql.execute(SIZES_OF_TABLES, [TABLES])
    }


def _hot(postgresql: PostgreSQL) -> dict[str, float]:
    """Transactions a second of 64 clients whose commits take 2 ms."""
    for statement in COMMIT_DELAY:
        postgresql.execute(statement)
    rates: dict[str, list[float]] = {name: [] for name in HOT}
    for _ in range(3):  # in turn, so that other load on the machine affects all equally
        for name, script in HOT.items():
            url, clients = postgresql.url(), 64
            done = transactions(url, script, seconds=5, variables=VARIABLES, clients=clients)
            rates[name].append(done)
    return {name: round(median(each)) for name, each in rates.items()}


def _redis(requests: int = 200_000) -> float:
    """The CPU time of redis-server for a GET, in microseconds."""
    with _redis_server() as (port, pid):
        tool = ["redis-benchmark", "-p", str(port), "-t", "get", "-n", str(requests), "-c", "50"]
        subprocess.run(tool, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        return round(cpu_of(str(pid)) / requests * 1e6, 1)


@contextmanager
def _redis_server() -> Iterator[tuple[int, int]]:
    """The port and the process id of a Redis."""
    port = free_port()
    server = subprocess.Popen(  # noqa: S603
        ["redis-server", "--port", str(port), "--save", "", "--dir", "/tmp"],  # noqa: S607, S108
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(Redis(port=port).ping, "Redis answers")
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()
