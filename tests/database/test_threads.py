"""Threads that end without returning their connection."""

from collections.abc import Callable

import pytest

from tests.database import application
from tests.database.load import ask, ask_at_once, failures, slowest
from tests.database.servers import migrated, wait_until
from tests.database.site.views import take_and_die
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

DEAD = 20


@pytest.mark.parametrize("size", [application.POOL_MAX, DEAD])
@repeated_if_stalled
def test_connections_of_dead_threads_come_back_and_are_logged_with_their_origin(
    size: int, figures: Callable[[str], None]
) -> None:
    pool = {
        "DATABASE_POOL_MIN": str(size),
        "DATABASE_POOL_MAX": str(size),
        # A request waits until the last connection is back.
        "DATABASE_MAX_WAITING": str(DEAD),
    }
    with migrated() as server, application.serving(server.url(), pool) as site:
        dying = ask_at_once(site.port, ["/api/test/thread-dies"] * DEAD)
        following = ask(site.port, "/api/test/select-1")
        # Each request holds its connection until the others have one too.
        holders = ask_at_once(site.port, ["/api/test/hold?seconds=1"] * size)
        wait_until(lambda: stacks(site) == DEAD, f"{DEAD} stack traces", seconds=5)

    figures(
        f"pool of {size}: {DEAD} threads died; next request: {following};"
        f" all connections held {slowest(holders) - 1:.2f} s later"
    )
    assert not failures(dying)
    assert following.status == 200
    assert not failures(holders)
    assert_within(following.seconds, 0.5)
    assert_within(slowest(holders) - 1, 1)


def stacks(site: application.Application) -> int:
    return site.said().count(f", in {take_and_die.__name__}")
