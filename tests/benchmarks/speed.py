"""The speed of this project: compared with the limit, other stacks, and on a growing site.

    python -m tests.benchmarks.speed [--quick]

The cases are measured in turn, so that other load on the machine affects all equally; the ratios
hold for other machines too. The first run loads the content and keeps it.
"""

import sys

import django

from tests.benchmarks import everyday, exactness, exit_on_sigterm, growth, logins, reads, writes
from tests.benchmarks.report import show


def main(*, quick: bool) -> None:
    """A quick run has fewer rounds, and skips the million articles."""
    django.setup()
    rounds = 3 if quick else 11
    rows = everyday.compare(rounds, 1)
    rows += everyday.compare_oldest(rounds, 1)
    rows += reads.count()
    if not quick:
        rows += growth.compare(9, 1)
    rows += logins.measure(6 if quick else 20)
    rows += writes.compare(3 if quick else 5, 3 if quick else 8)
    rows += exactness.check(10 if quick else 30)
    show(rows)
    if quick:
        print("A quick run: the figures are rough, and the million articles are not measured.")


if __name__ == "__main__":
    exit_on_sigterm()
    main(quick="--quick" in sys.argv[1:])
