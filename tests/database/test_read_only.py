"""The probes of a server whose reads use standbys: what they say while a server of the database is
down or frozen."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from tests.database import application
from tests.database.application import Application
from tests.database.load import Question, ask, ask_at_once, failures, load, reading
from tests.database.redis_server import RedisServer
from tests.database.servers import PostgreSQL, wait_until
from tests.database.test_failover import replicated, url
from tests.database.test_pool_page import with_key
from tests.processes import run
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.redis


@pytest.fixture
def pair() -> Iterator[tuple[PostgreSQL, PostgreSQL]]:
    with replicated() as servers:
        yield servers


def dbcheck(*servers: PostgreSQL, **variables: str) -> tuple[int, list[str]]:
    """The exit status of dbcheck, and its output without the warning about the superuser."""
    variables = {
        "DATABASE_REPLICA_READS": "on",
        "DATABASE_STARTUP_TIMEOUT": "5",
        "SERVER_WORKERS": "2",
    } | variables
    variables = {"DATABASE_URL": url(*servers)} | variables
    process = run("manage.py", "dbcheck", **variables)
    lines = process.stderr.splitlines()
    return process.returncode, [line for line in lines if "is a superuser" not in line]


@contextmanager
def serving(redis: RedisServer, *servers: PostgreSQL, **variables: str) -> Iterator[Application]:
    variables = {
        "CACHE_URL": redis.url,
        "DATABASE_REPLICA_READS": "on",
        "DATABASE_ACQUIRE_TIMEOUT": "2",
    } | variables
    with application.serving(url(*servers), variables) as site:
        yield site


def name(server: PostgreSQL) -> str:
    return f"{server.host}:{server.port}"


@repeated_if_stalled
def ready(site: Application) -> tuple[int, Any]:
    reply = ask(site.port, "/readyz")
    assert_within(reply.seconds, 1)
    return reply.status, reply.json()


@repeated_if_stalled
def health(site: Application) -> dict[str, Any]:
    reply = ask(site.port, "/health")
    assert_within(reply.seconds, 1)
    report: dict[str, Any] = reply.json()
    return report | {"http": reply.status}


def knows_no_position(site: Application) -> bool:
    positions = health(site)["positions"]
    return not (positions["answers"] or positions["lease"])


def test_a_server_without_a_primary_says_that_it_only_reads(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    primary, standby = pair
    with serving(redis, primary, standby) as site:
        wait_until(lambda: health(site)["positions"]["lease"], "there is a lease")
        complete = ready(site), health(site)

        primary.stop()
        wait_until(lambda: "reason" in ready(site)[1], "the loss is noticed", seconds=5)
        read_only = ready(site), health(site)
        reads = ask_at_once(site.port, ["/api/articles"] * 10)
        write = ask(site.port, "/api/test/write?id=a", "POST")
        wait_until(
            lambda: "There is no primary." in with_key(site)["state"], "the pool page says it"
        )
        shown = with_key(site)["servers"]

        redis.stop()
        wait_until(lambda: knows_no_position(site), "Redis and the lease are gone")
        without_redis = ready(site), health(site)
        reads += ask_at_once(site.port, ["/api/articles"] * 10)

        standby.stop()
        wait_until(lambda: ready(site)[0] == 503, "the loss is noticed", seconds=5)
        down = ready(site), health(site)
        redis.start()

    assert complete[0] == (200, {"status": "ok"})
    report = complete[1]
    assert (report["http"], report["status"], report["database"]) == (200, "ok", "connected")
    assert report["pool"]["max"] == application.POOL_MAX
    states = report["servers"]
    assert [states[name(each)]["role"] for each in (primary, standby)] == ["primary", "standby"]
    for state in states.values():
        assert state["answers"]
        assert state["pool"]["max"] == application.POOL_MAX
        assert state["position"].startswith("1/0/")
        assert state["lag_seconds"] < 1
    assert report["positions"]["answers"]
    assert report["positions"]["position"].startswith("1/0/")

    assert read_only[0] == (200, {"status": "ok", "reason": "read-only"})
    report = read_only[1]
    assert (report["http"], report["status"], report["reason"]) == (200, "ok", "read-only")
    assert not report["servers"][name(primary)]["answers"]
    assert f"port {primary.port} failed" in report["servers"][name(primary)]["error"]
    assert report["servers"][name(standby)]["answers"]
    assert [each.status for each in reads] == [200] * 20, [*map(repr, reads)]
    assert write.status == 503
    assert write.headers["retry-after"]

    assert f"{name(primary)} unknown 0 of 1 processes 1/0/" in shown
    assert f"{name(standby)} standby 1 of 1 processes 1/0/" in shown
    assert "ERROR" not in standby.log.read_text()  # no failed statement of our own

    assert without_redis[0] == (200, {"status": "ok", "reason": "read-only"})
    assert not without_redis[1]["positions"]["answers"]
    assert not without_redis[1]["positions"]["lease"]

    assert down[0] == (503, {"status": "error", "reason": "unreachable"})
    assert (down[1]["http"], down[1]["database"]) == (503, "disconnected")
    assert down[1]["error"] == "no server answers"


@repeated_if_stalled
def test_a_frozen_standby_is_noticed_and_delays_no_probe(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    primary, standby = pair
    with serving(redis, primary, standby) as site:
        frozen_at = time.monotonic()
        standby.freeze()
        noticed_at = wait_until(
            lambda: not health(site)["servers"][name(standby)]["answers"], "the loss is noticed"
        )
        state = ready(site)
        standby.thaw()
        wait_until(lambda: health(site)["servers"][name(standby)]["answers"], "it is well again")

    assert state == (200, {"status": "ok"})
    assert_within(noticed_at - frozen_at, 3)


def test_a_late_standby_is_reported_and_leaves_reads_to_the_primary(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    primary, standby = pair
    with serving(redis, primary, standby) as site:
        wait_until(lambda: health(site)["positions"]["lease"], "there is a lease")
        standby.execute("SELECT pg_wal_replay_pause()")
        assert ask(site.port, "/api/test/write?id=a", "POST").status == 201
        wait_until(
            lambda: health(site)["servers"][name(standby)]["lag_seconds"] >= 1,
            "the standby is late",
        )
        late = health(site)["servers"]
        read = ask(site.port, "/api/articles")
        metrics = ask(site.port, "/metrics").content.decode()
        standby.execute("SELECT pg_wal_replay_resume()")
        wait_until(
            lambda: health(site)["servers"][name(standby)]["lag_seconds"] == 0,
            "the standby is not late any more",
        )

    assert late[name(standby)]["lag_bytes"] > 0
    assert late[name(primary)]["lag_seconds"] == late[name(primary)]["lag_bytes"] == 0
    assert read.status == 200
    figures = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("database_")
    }
    server = f'{{database="default@{name(standby)}"}}'
    assert figures[f"database_server_answers{server}"] == 1
    assert figures[f"database_server_is_primary{server}"] == 0
    assert figures[f"database_server_lag_bytes{server}"] > 0
    assert figures[f"database_server_lag_seconds{server}"] > 0  # half a second older
    assert figures['database_lease_alive{database="default"}'] == 1
    behind = 'database_primary_reads_total{database="default",reason="standbys_behind"}'
    assert figures[behind] >= 1
    assert figures['database_rerun_reads_total{database="default",reason="cut"}'] == 0


def test_dbcheck_names_what_replication_and_redis_lack(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    primary, standby = pair
    asynchronous = dbcheck(standby, primary, CACHE_URL=redis.url)
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    complete = dbcheck(primary, standby, CACHE_URL=redis.url)
    without_url = dbcheck(primary, standby)
    with Redis.from_url(redis.url) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    evicting = dbcheck(primary, standby, CACHE_URL=redis.url)
    redis.stop()
    stopped = dbcheck(primary, standby, CACHE_URL=redis.url)
    redis.start()

    assert asynchronous == (
        0,
        [
            "Warning: synchronous_standby_names is empty, so a failover may lose acknowledged"
            " writes; turn on the synchronous mode of the cluster manager."
        ],
    )
    assert complete == (0, [])
    assert without_url == (
        0,
        ["Warning: CACHE_URL is not set, so all reads use the primary."],
    )
    assert evicting == (
        0,
        [
            "Warning: Redis (CACHE_URL) may delete the position of the acknowledged writes, because"
            " its maxmemory-policy is allkeys-lru; reads then use the primary. Set noeviction."
        ],
    )
    assert stopped[0] == 0
    assert stopped[1][-1].startswith(
        "Warning: Redis (CACHE_URL) does not answer, so all reads use the"
    )


def test_dbcheck_counts_the_connections_of_both_pools_on_each_server(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    primary, standby = pair
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    # The server allows 100 connections, and reserves 3 of them.
    fitting = dbcheck(primary, standby, CACHE_URL=redis.url, SERVER_WORKERS="5")
    status, lines = dbcheck(primary, standby, CACHE_URL=redis.url, SERVER_WORKERS="6")

    assert fitting == (0, [])
    assert status == 78
    shortage = (
        "The server needs 6 x (8 + 8 + 1) = 102 connections, but max_connections minus the reserved"
        " ones is 97; lower SERVER_WORKERS, DATABASE_POOL_MAX or DATABASE_READ_POOL_MAX, or raise"
        " this limit."
    )
    assert lines == [f"Server {name(standby)}: {shortage}", shortage]


def test_no_server_gets_more_connections_than_dbcheck_counts(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    primary, standby = pair
    sizes = {
        "DATABASE_POOL_MAX": "2",
        "DATABASE_READ_POOL_MAX": "3",
        "DATABASE_MAX_WAITING": "50",
        "DATABASE_ACQUIRE_TIMEOUT": "10",
    }
    most: Counter[str] = Counter()
    with serving(redis, primary, standby, **sizes) as site:
        reads = load(site.port, 16, reading("/api/test/hold?seconds=0.1", "/api/articles"))
        writes = load(site.port, 6, lambda: Question("POST", "/api/test/write?id=a&seconds=0.1"))
        with reads as replies, writes:
            until = time.monotonic() + 4
            while time.monotonic() < until:
                for server in pair:
                    most[name(server)] = max(most[name(server)], len(server.sessions()))
                time.sleep(0.05)

    assert 2 < most[name(primary)] <= 2 + 3 + 1
    assert most[name(standby)] == 3
    assert not failures(replies), failures(replies)[0]


def test_a_server_of_the_site_starts_without_a_primary_if_a_standby_fits(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    primary, standby = pair
    with serving(redis, primary, standby) as site:
        wait_until(lambda: health(site)["positions"]["lease"], "there is a lease")
    primary.stop()
    status, lines = dbcheck(primary, standby, CACHE_URL=redis.url)
    with serving(redis, primary, standby) as site:  # it has answered a GET with 200
        state = ready(site)
        reads = ask_at_once(site.port, ["/api/articles", "/api/tags"] * 5)
        write = ask(site.port, "/api/test/write?id=a", "POST")
        standby.execute("SELECT pg_promote()")
        wait_until(lambda: ready(site) == (200, {"status": "ok"}), "there is a primary", seconds=5)
        later = ask(site.port, "/api/test/write?id=b", "POST")
    standby.stop()
    down = dbcheck(primary, standby, CACHE_URL=redis.url)

    assert status == 0
    assert len(lines) == 2
    assert lines[0].startswith(f"Warning: Reads do not use the server {name(primary)}. The data")
    assert lines[1].startswith("Warning: No server that answers is the primary.")
    assert state == (200, {"status": "ok", "reason": "read-only"})
    assert [each.status for each in reads] == [200] * 10, [*map(repr, reads)]
    assert write.status == 503
    assert write.headers["retry-after"]
    assert later.status == 201
    assert down[0] == 69
    assert all(line.startswith("The database can't be reached:") for line in down[1])
    assert len(down[1]) == 2


def test_dbcheck_refuses_a_url_that_lets_writes_use_a_standby(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    address = url(*pair).replace("read-write", "any")
    status, lines = dbcheck(*pair, CACHE_URL=redis.url, DATABASE_URL=address)

    assert status == 78
    assert "target_session_attrs is any" in lines[0]


def test_other_clients_see_no_names_of_servers(
    pair: tuple[PostgreSQL, PostgreSQL], redis: RedisServer
) -> None:
    with serving(redis, *pair) as site:
        report = ask(site.port, "/health", headers={"X-Forwarded-For": "192.0.2.1"}).json()

    assert report == {"status": "ok", "database": "connected"}
