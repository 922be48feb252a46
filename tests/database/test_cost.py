"""The benefits and the costs of the connection layer; `make bench` shows more."""

from collections.abc import Callable
from statistics import median

import pytest

from tests.benchmarks.costs import django_pool, measure_interleaved, median_ratio, this_backend

pytestmark = pytest.mark.faults


def test_a_pool_serves_five_times_the_requests_of_one_connection_per_request(
    figures: Callable[[str], None],
) -> None:
    with (
        this_backend("pool", workers=2) as pool,
        this_backend("per-request", workers=2) as per_request,
    ):
        costs = measure_interleaved({"pool": pool, "per-request": per_request}, rounds=3, seconds=2)

    rates = {name: [cost.rate for cost in each] for name, each in costs.items()}
    ratio = median_ratio(rates["pool"], rates["per-request"])
    figures(
        f"{ratio:.1f} times the requests/s:"
        f" {median(rates['pool']):.0f} to {median(rates['per-request']):.0f}"
    )
    assert ratio >= 5


def test_a_request_takes_at_most_a_tenth_more_cpu_time_than_with_the_pool_of_django(
    figures: Callable[[str], None],
) -> None:
    with this_backend(access_log="off") as layer, django_pool() as django:
        costs = measure_interleaved({"ours": layer, "django": django}, rounds=11, seconds=1)

    cpu = {name: [cost.cpu for cost in each] for name, each in costs.items()}
    ratio = median_ratio(cpu["ours"], cpu["django"])
    figures(f"{ratio:.2f} times: {median(cpu['ours']):.0f} to {median(cpu['django']):.0f} µs")
    assert ratio <= 1.1
