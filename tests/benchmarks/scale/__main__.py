"""Print the tables of docs/scale.md and write them there.

    python -m tests.benchmarks.scale [--measure [--huge]] [--validate]

With --measure, the figures are measured first, in 10 minutes. --huge adds a site of 5 million
articles, which takes half an hour to load and 25 GB of disk. With --validate, the simulation is
compared with this machine first, in a minute; other programs must not use it.
"""

import sys

import django

from tests.benchmarks import exit_on_sigterm
from tests.benchmarks.scale import document, figures, measuring, validating


def main(*, measure: bool, huge: bool, validate: bool) -> None:
    if measure or validate:
        django.setup()
    if measure:
        measuring.main(with_huge=huge)
    if validate:
        validating.main()
    found = figures.load()
    text = document.with_tables(found)
    document.PAGE.write_text(text)
    print(document.tables_of(text))


if __name__ == "__main__":
    exit_on_sigterm()
    asked = sys.argv[1:]
    main(measure="--measure" in asked, huge="--huge" in asked, validate="--validate" in asked)
