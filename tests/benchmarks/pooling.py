"""The benefits and costs of the connection layer, in one run of about four minutes.

    python -m tests.benchmarks.pooling [--quick]

The ratios hold for other machines too; the absolute values are those of this machine, now.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median

from tests.benchmarks import exit_on_sigterm
from tests.benchmarks.costs import (
    CLIENTS,
    django_pool,
    measure_interleaved,
    median_ratio,
    recovery,
    this_backend,
)

MODES = ("per-request", "persistent", "pool")
OURS, STOCK = "this backend", "Django's pool"
OUTAGES = (0, 3, 10)  # seconds; the first is a restart


def main(*, quick: bool) -> None:
    """A quick run has few rounds, so its ratios are rough, and it has no outages."""
    compare_modes(rounds=2 if quick else 5, seconds=1 if quick else 2)
    compare_cpu(rounds=5 if quick else 25)
    if not quick:
        compare_recovery()


def compare_modes(rounds: int, seconds: int) -> None:
    with ExitStack() as stack:
        # Two workers, because one does not keep two cores busy.
        subjects = {mode: stack.enter_context(this_backend(mode, workers=2)) for mode in MODES}
        costs = measure_interleaved(subjects, rounds, seconds)
    print(f"SELECT 1 over HTTP, {CLIENTS} clients, 2 workers; medians of {rounds} rounds\n")
    print("DATABASE_CONNECTIONS    ratio    requests/s    server connections")
    base = [cost.rate for cost in costs["per-request"]]
    for mode in MODES:
        rates = [cost.rate for cost in costs[mode]]
        connections = max(cost.connections for cost in costs[mode])
        ratio = median_ratio(rates, base)
        print(f"{mode:20}{ratio:9.1f}{median(rates):14.0f}{connections:22}")


def compare_cpu(rounds: int, seconds: int = 1) -> None:
    with this_backend(access_log="off") as layer, django_pool() as django:
        costs = measure_interleaved({OURS: layer, STOCK: django}, rounds, seconds)
    print(
        f"\nCPU time of server and PostgreSQL, without an access log; medians of {rounds} rounds\n"
    )
    print("                        ratio    µs/request    least to most")
    base = [cost.cpu for cost in costs[STOCK]]
    for name in (OURS, STOCK):
        each = [cost.cpu for cost in costs[name]]
        spread = f"{min(each):.0f} to {max(each):.0f}"
        print(f"{name:20}{median_ratio(each, base):9.2f}{median(each):14.0f}{spread:>17}")


def compare_recovery(rounds: int = 3) -> None:
    print(f"\nSeconds from PostgreSQL's return to the first success; the worst of {rounds}\n")
    print(f"away for            {'ratio':>9}{OURS:>14}{STOCK:>17}")
    with this_backend() as layer, django_pool() as django, ThreadPoolExecutor() as threads:
        for away in OUTAGES:
            times = [
                tuple(threads.map(recovery, (layer, django), (away, away))) for _ in range(rounds)
            ]
            mine, djangos = map(max, zip(*times, strict=True))
            name = f"{away} s" if away else "a restart"
            print(f"{name:20}{mine / djangos:9.2f}{mine:14.2f}{djangos:17.2f}")


if __name__ == "__main__":
    exit_on_sigterm()
    main(quick="--quick" in sys.argv[1:])
