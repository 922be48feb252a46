"""Counts the SQL statements of a request in the log of PostgreSQL."""

import re
import time
from statistics import median

from tests.benchmarks.questions import Question, answer
from tests.benchmarks.subjects import Server

# With this setting PostgreSQL logs every statement, also prepared ones.
LOGGING: dict[str, object] = {"log_min_duration_statement": 0}

_ENTRY = re.compile(r"LOG:  duration: [\d.]+ ms  (?:statement|execute [^:]*): ?(.*)")
# Statements that reset a connection for its next request; a ping is an empty statement.
_RESETS = ("DISCARD", "RESET", "DEALLOCATE", "SELECT pg_advisory_unlock_all()")


def statements_of(server: Server, question: Question) -> float:
    """The number of statements of one answer, without pings and resets, after a warm-up.

    It is a median, because background threads run statements too.
    """
    for _ in range(8):  # each worker runs some statements only once
        answer(server, question)
    return median(_count(server, question) for _ in range(5))


def _count(server: Server, question: Question) -> int:
    before = len(_logged(server))
    answer(server, question)
    return len(_logged(server)) - before


def _logged(server: Server) -> list[str]:
    time.sleep(0.05)  # a connection may be reset after the answer
    texts = _ENTRY.findall(server.postgresql.log.read_text())
    return [text for text in texts if text.strip() and not text.startswith(_RESETS)]
