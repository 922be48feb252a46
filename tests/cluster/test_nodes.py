"""Nodes are lost, frozen and late under load: no GET fails or is stale, no write is lost."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.clusters import Cluster
from tests.cluster.traffic import MAX_WRITERS, WRITERS, Account, Result, Traffic, traffic
from tests.database.application import Application
from tests.stalls import repeated_if_delayed, repeated_if_stalled

pytestmark = pytest.mark.cluster

QUIET = 2.0  # seconds of traffic before a fault, and after the end of its effects

type Run = Callable[..., Result]


@pytest.fixture
def run(
    cluster: Cluster, site: Application, account: Account, figures: Callable[[str], None]
) -> Iterator[Run]:
    """`run(fault)` is the result of the traffic while `fault` is executed."""

    def run_fault(fault: Callable[[Traffic], None], writers: int = WRITERS) -> Result:
        with traffic(site.port, account, writers) as seen:
            time.sleep(QUIET)
            fault(seen)
            seen.wait_for_writes(40)
            time.sleep(QUIET)
        cluster.repair()
        cluster.wait_until_healthy()
        with cluster.primary().session() as session:
            result = seen.result(session)
        figures(str(result))
        return result

    yield run_fault
    print(f"the site:\n{site.said()[-3000:]}")  # pytest shows this if the test fails


@repeated_if_stalled
def test_a_switchover(cluster: Cluster, run: Run) -> None:
    result = run(lambda _: cluster.switchover())

    result.check(slowest=3, without_writes=4)


@repeated_if_delayed  # Patroni itself takes up to 3.7 s
def test_the_primary_crashes(cluster: Cluster, run: Run) -> None:
    result = run(lambda _: cluster.primary().kill_postgres())

    result.check(slowest=3, without_writes=4)


@repeated_if_delayed  # Patroni itself takes up to 23.3 s
def test_the_node_of_the_primary_is_lost(cluster: Cluster, run: Run) -> None:
    result = run(lambda _: cluster.primary().lose())

    result.check(slowest=3, without_writes=24)


@repeated_if_stalled
def test_the_node_of_the_primary_freezes_for_40_seconds(cluster: Cluster, run: Run) -> None:
    def freeze(_: Traffic) -> None:
        primary = cluster.primary()
        primary.freeze()
        time.sleep(40)
        primary.thaw()

    result = run(freeze)

    result.check(slowest=4, without_writes=26)


@repeated_if_stalled
def test_a_standby_crashes_and_its_node_is_lost(cluster: Cluster, run: Run) -> None:
    def lose(seen: Traffic) -> None:
        standby = cluster.sync_standby()
        standby.kill_postgres()
        seen.wait_for_writes(30)
        time.sleep(QUIET)
        standby.lose()

    result = run(lose)

    result.check(slowest=3, without_writes=24)


@pytest.mark.parametrize("kind", ["sync", "async"])
@repeated_if_stalled
def test_the_node_of_a_standby_freezes(cluster: Cluster, run: Run, kind: str) -> None:
    standby = cluster.sync_standby() if kind == "sync" else cluster.async_standby()

    def freeze(seen: Traffic) -> None:
        standby.freeze()
        time.sleep(8)
        seen.wait_for_writes(30)
        standby.thaw()

    result = run(freeze)

    result.check(slowest=3, without_writes=24)


@repeated_if_stalled
def test_the_synchronous_standby_freezes_and_then_the_primary_crashes(
    cluster: Cluster, run: Run
) -> None:
    primary, standby = cluster.primary(), cluster.sync_standby()

    def freeze_and_crash(seen: Traffic) -> None:
        standby.freeze()
        time.sleep(1)
        primary.kill_postgres()
        time.sleep(3)
        seen.wait_for_writes(40)
        time.sleep(QUIET)
        standby.thaw()

    result = run(freeze_and_crash, writers=MAX_WRITERS)

    result.check(slowest=4, without_writes=26)


@repeated_if_stalled
def test_one_standby_is_5_seconds_late_and_then_both(cluster: Cluster, run: Run) -> None:
    one, other = cluster.standbys()

    def delay(_: Traffic) -> None:
        one.delay(5)
        time.sleep(6)
        other.delay(5)
        time.sleep(6)

    try:
        result = run(delay)
    finally:
        for standby in (one, other):
            standby.delay(0)

    result.check(slowest=3, without_writes=1)
