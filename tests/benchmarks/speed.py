"""How fast it is, beside others, and as it grows: the figures that the README shows.

    python -m tests.benchmarks.speed [--quick]

Everything is measured in rounds that take turns, so that what else the machine does is shared
alike; ratios hold for other machines too. The content is loaded by the first run, and kept.
"""

import sys

from tests.benchmarks import exactness, growth, logins, reads, stacks, stop_when_told, writes
from tests.benchmarks.report import show


def main(*, quick: bool) -> None:
    """A quick run has fewer rounds, and asks nothing of a million articles."""
    rows = stacks.compare(3 if quick else 11, 2)
    rows += reads.count()
    if not quick:
        rows += growth.compare(9, 1)
    rows += logins.measure(6 if quick else 20)
    rows += writes.compare(3 if quick else 5, 3 if quick else 8)
    rows += exactness.check(10 if quick else 30)
    show(rows)
    if quick:
        print("A quick run: rough, and without what only a million articles can show.")


if __name__ == "__main__":
    stop_when_told()
    main(quick="--quick" in sys.argv[1:])
