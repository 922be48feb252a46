"""The network between the server and PostgreSQL drops every packet, without resets or refusals."""

import time
from collections.abc import Callable

import pytest

from tests.database import application
from tests.database.load import failures, first_success, load, reading, slowest
from tests.database.network import Network
from tests.database.servers import migrated
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

ACQUIRE_TIMEOUT = 5.0


@repeated_if_stalled
def test_a_lost_network_is_503_in_time_and_reads_succeed_after_its_return(
    figures: Callable[[str], None],
) -> None:
    read = reading("/api/test/select-1", "/api/articles")
    wait = reading("/api/test/sleep?seconds=1")
    with Network() as network, migrated(host=network.address, prefix=network.prefix) as server:
        # Production requires TLS to another machine; this test does not need it.
        url = server.url(sslmode="disable")
        with (
            application.serving(url) as site,
            load(site.port, 16, read) as reads,
            # These clients are waiting for a reply most of the time.
            load(site.port, 4, wait) as waits,
        ):
            time.sleep(1.5)
            with network.lost():
                time.sleep(30)
            back = time.monotonic()
            time.sleep(4)

    replies = [*reads, *waits]
    failed = failures(replies)
    figures(
        f"{len(replies)} GETs, {len(failed)} failed, the slowest after {slowest(replies):.2f} s"
        f" ({slowest(waits):.2f} s of those with a statement of 1 s);"
        f" first success {first_success(replies, back):.2f} s after the network was back"
    )
    assert all(reply.status == 503 for reply in failed)
    assert_within(slowest(replies), ACQUIRE_TIMEOUT + 1)
    assert_within(first_success(replies, back), 2)
