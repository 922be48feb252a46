"""Fixtures of the tests in this folder: one cluster and one site for all of them."""

from collections.abc import Iterator

import pytest

from tests.cluster.clusters import Cluster
from tests.cluster.nodes import skip_without
from tests.cluster.traffic import Account, sign_up
from tests.database import application
from tests.database.application import Application
from tests.database.conftest import figures as figures
from tests.database.redis_server import RedisServer

WORKERS, THREADS = 2, 16


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """Three healthy nodes. If the test fails, pytest shows the end of their logs."""
    running_cluster.repair()
    running_cluster.wait_until_healthy()
    yield running_cluster
    print(running_cluster.tail_of_logs())


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    skip_without("redis-server")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def site(running_cluster: Cluster, redis: RedisServer) -> Iterator[Application]:
    """A server with two processes."""
    with application.serving(
        running_cluster.url(), variables(redis), workers=WORKERS, threads=THREADS
    ) as site:
        yield site


def variables(redis: RedisServer) -> dict[str, str]:
    """The environment of a server of the cluster, without DATABASE_URL."""
    return {
        "CACHE_URL": redis.url,
        "DATABASE_REPLICA_READS": "on",
        "COMMENT_RATE": "1000000/minute",  # all writers have the same token
        "ACCESS_LOG": "off",
    }


@pytest.fixture(scope="session")
def account(site: Application) -> Account:
    return sign_up(site.port)
