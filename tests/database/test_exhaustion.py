"""More requests than connections: some wait for the timeout, some are refused at once."""

from collections.abc import Callable

import pytest

from tests.database import application
from tests.database.load import Reply, ask_at_once, slowest
from tests.database.servers import migrated, wait_until
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

LIMITS = {
    "DATABASE_POOL_MIN": "4",
    "DATABASE_POOL_MAX": "4",
    "DATABASE_ACQUIRE_TIMEOUT": "2",
}
UNAVAILABLE = {"errors": {"database": ["is unavailable"]}}


@pytest.mark.parametrize(
    ("bound", "threads", "refused_within"),
    [
        ({"DATABASE_MAX_WAITING": "4"}, application.THREADS, 0.1),
        # Of ten threads, four have a connection, four may wait while the pool is stalled, and two
        # are free to refuse the other requests.
        ({}, 10, 0.4),
    ],
)
@repeated_if_stalled
def test_twelve_requests_share_four_connections(
    bound: dict[str, str], threads: int, refused_within: float, figures: Callable[[str], None]
) -> None:
    variables = LIMITS | bound
    with (
        migrated() as server,
        application.serving(server.url(), variables, threads=threads) as site,
    ):
        wait_until(lambda: len(server.sessions()) >= 4, "the pool is filled")
        replies = ask_at_once(site.port, ["/api/test/hold?seconds=5"] * 12)

    served = [reply for reply in replies if reply.status == 200]
    refused = sorted((reply for reply in replies if reply.status == 503), key=seconds)
    at_once, waited = refused[:4], refused[4:]
    figures(
        f"{len(served)} x 200; {len(refused)} x 503: after"
        f" {', '.join(f'{reply.seconds:.2f}' for reply in refused)} s"
    )

    assert (len(served), len(refused)) == (4, 8)
    assert all(reply.seconds >= 1.7 for reply in waited)
    for reply in refused:
        assert reply.json() == UNAVAILABLE
        assert reply.headers["retry-after"].isdecimal()
    assert_within(slowest(at_once), refused_within)
    assert_within(slowest(waited), 2.3)


def seconds(reply: Reply) -> float:
    return reply.seconds
