"""The number of SQL statements of each read."""

from tests.benchmarks import subjects
from tests.benchmarks.kept import site
from tests.benchmarks.questions import PRIVATE_READS, READS, VIEWER, Question
from tests.benchmarks.report import Row, at_most
from tests.benchmarks.statements import LOGGING, statements_of


def count() -> list[Row]:
    """Count the statements of all reads; print every read over its limit."""
    anonymous = [Question(path) for path in READS]
    known = [Question(path, VIEWER) for path in (*READS, *PRIVATE_READS)]
    with site("small", settings=LOGGING) as postgresql, subjects.this_project(postgresql) as server:
        counts = {question: statements_of(server, question) for question in anonymous + known}
    for question, taken in counts.items():
        if taken > (2 if question.reader else 1):
            print(f"{taken:g} statements: {question.path}, reader {question.reader}")
    return [
        at_most("statements of an anonymous read", max(counts[each] for each in anonymous), 1),
        at_most("statements of a read with a token", max(counts[each] for each in known), 2),
    ]
