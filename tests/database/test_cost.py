"""What the layer brings, and what it costs; `make bench` shows more of both."""

from collections.abc import Callable
from statistics import median

import pytest

from tests.benchmarks.costs import interleaved, median_ratio, ours, stock

pytestmark = pytest.mark.faults


def test_a_pool_serves_five_times_the_requests_of_a_connection_for_each(
    figures: Callable[[str], None],
) -> None:
    with ours("pool", workers=2) as pool, ours("per-request", workers=2) as per_request:
        costs = interleaved({"pool": pool, "per-request": per_request}, rounds=3, seconds=2)

    rates = {name: [cost.rate for cost in each] for name, each in costs.items()}
    ratio = median_ratio(rates["pool"], rates["per-request"])
    figures(
        f"{ratio:.1f} times the requests/s:"
        f" {median(rates['pool']):.0f} to {median(rates['per-request']):.0f}"
    )
    assert ratio >= 5


def test_a_request_takes_a_tenth_more_cpu_time_at_most_than_with_djangos_own_pool(
    figures: Callable[[str], None],
) -> None:
    with ours() as layer, stock() as django:
        costs = interleaved({"ours": layer, "stock": django}, rounds=11, seconds=1)

    cpu = {name: [cost.cpu for cost in each] for name, each in costs.items()}
    ratio = median_ratio(cpu["ours"], cpu["stock"])
    figures(f"{ratio:.2f} times: {median(cpu['ours']):.0f} to {median(cpu['stock']):.0f} µs")
    assert ratio <= 1.1
