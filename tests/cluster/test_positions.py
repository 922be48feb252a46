"""Redis, which has the position of the acknowledged writes, is killed, frozen and restarted."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from database.backend.recording import LEASES_END
from tests.cluster.conftest import THREADS, WORKERS, variables
from tests.cluster.nodes import skip_without
from tests.cluster.traffic import Account, Traffic, sign_up, traffic
from tests.database import application
from tests.database.proxy import Proxy
from tests.database.redis_server import RedisServer
from tests.database.servers import PostgreSQL
from tests.database.test_failover import replicated, standby_of, url
from tests.stalls import repeated_if_stalled

pytestmark = pytest.mark.cluster

QUIET = 1.5  # seconds of traffic before a fault, and after its end


class Site(NamedTuple):
    port: int
    primary: PostgreSQL
    standby: PostgreSQL
    other: PostgreSQL
    """Another standby."""
    redis: RedisServer
    dump: Path
    """The file that Redis reads at its start."""
    account: Account


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with two processes, a primary, two standbys, and a Redis of its own."""
    skip_without("redis-server")
    folder = tmp_path_factory.mktemp("redis")
    redis = RedisServer(folder)
    with replicated() as (primary, standby), standby_of(primary) as other:
        redis.start()
        try:
            with application.serving(
                url(primary, standby, other), variables(redis), workers=WORKERS, threads=THREADS
            ) as server:
                account = sign_up(server.port)
                yield Site(
                    server.port, primary, standby, other, redis, folder / "dump.rdb", account
                )
        finally:
            redis.stop()


type Fault = Callable[[], None]


@pytest.fixture
def run(site: Site, figures: Callable[[str], None]) -> Callable[[Fault], None]:
    """`run(fault)` checks what the traffic sees while `fault` is executed."""

    def run_fault(fault: Fault) -> None:
        with traffic(site.port, site.account) as seen:
            time.sleep(QUIET)
            began = time.monotonic()
            fault()
            ended = time.monotonic()
            time.sleep(QUIET)
        with site.primary.session() as session:
            result = seen.result(session)
        figures(f"{result}; writes meanwhile took {durations(seen, began, ended)}")
        assert not result.refused, result.refused[:5]
        result.check(slowest=3, without_writes=LEASES_END + 1)

    return run_fault


def durations(seen: Traffic, began: float, ended: float) -> str:
    during = [write.seconds for write in seen.writes if began <= write.started <= ended]
    return f"{statistics.median(during):.3f} s, at most {max(during):.2f} s"


@repeated_if_stalled
def test_redis_is_killed_and_restarted_empty(site: Site, run: Callable[[Fault], None]) -> None:
    def restart() -> None:
        site.redis.kill()
        time.sleep(2)
        site.dump.unlink(missing_ok=True)
        site.redis.start()

    run(restart)


@repeated_if_stalled
def test_redis_is_restarted_with_an_old_file(site: Site, run: Callable[[Fault], None]) -> None:
    def restart() -> None:
        with site.redis.client() as client:
            client.save()
        time.sleep(1)
        site.redis.kill()
        site.redis.start()

    run(restart)


@repeated_if_stalled
def test_redis_freezes_for_10_seconds(site: Site, run: Callable[[Fault], None]) -> None:
    def freeze() -> None:
        site.redis.freeze()
        time.sleep(10)
        site.redis.thaw()

    run(freeze)


@repeated_if_stalled
def test_redis_is_killed_while_a_standby_is_late(site: Site, run: Callable[[Fault], None]) -> None:
    """A write then waits until no lease is alive from before it."""

    def kill() -> None:
        delay(site.standby, 5)
        site.redis.kill()
        time.sleep(4)
        site.redis.start()
        delay(site.standby, 0)

    run(kill)


@pytest.fixture(scope="module")
def cut_off(site: Site) -> Iterator[tuple[int, Proxy]]:
    """The port of another API machine, and the way from there to Redis."""
    with Proxy("127.0.0.1", site.redis.port) as proxy:
        address = variables(site.redis) | {"CACHE_URL": f"redis://127.0.0.1:{proxy.port}/0"}
        servers = url(site.primary, site.standby, site.other)
        with application.serving(servers, address, workers=WORKERS, threads=THREADS) as server:
            yield server.port, proxy


@repeated_if_stalled
def test_one_machine_cannot_reach_redis_while_a_standby_is_late(
    site: Site, cut_off: tuple[int, Proxy], figures: Callable[[str], None]
) -> None:
    """What one machine writes must be seen on the other."""
    port, proxy = cut_off
    for readers, writers in ((site.port, port), (port, site.port)):
        with traffic(readers, site.account, writers_port=writers) as seen:
            time.sleep(QUIET)
            delay(site.standby, 5)
            began = time.monotonic()
            proxy.delay = 30
            time.sleep(3.5)
            proxy.delay = 0
            ended = time.monotonic()
            delay(site.standby, 0)
            time.sleep(QUIET)
        with site.primary.session() as session:
            result = seen.result(session)
        where = "cut off" if writers == port else "on the other machine"
        figures(f"writers {where}: {result}; meanwhile {durations(seen, began, ended)}")
        assert not result.refused, result.refused[:5]
        result.check(slowest=3, without_writes=LEASES_END + 1)


def delay(standby: PostgreSQL, seconds: int) -> None:
    """Let this standby apply each commit so many seconds after the primary made it."""
    with standby.session() as session:
        session.execute(f"ALTER SYSTEM SET recovery_min_apply_delay = '{seconds}s'")
        session.execute("SELECT pg_reload_conf()")
