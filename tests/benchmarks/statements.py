"""How many statements a request takes, as PostgreSQL itself has logged them."""

import re
import time

from tests.benchmarks.questions import Question, answer
from tests.benchmarks.subjects import Server

# With this setting the server logs every statement it runs, prepared ones too.
LOGGING: dict[str, object] = {"log_min_duration_statement": 0}

_ENTRY = re.compile(r"LOG:  duration: [\d.]+ ms  (?:statement|execute [^:]*): ?(.*)")
# What cleans a connection for its next user; a ping is an empty statement.
_CARE = ("DISCARD", "RESET", "DEALLOCATE", "SELECT pg_advisory_unlock_all()")


def statements_of(server: Server, question: Question, asked: int = 3) -> float:
    """How many statements one answer takes, without pings and resets: the mean of a few, once
    all is warm."""
    for _ in range(8):  # whatever each worker asks only once
        answer(server, question)
    before = len(_logged(server))
    for _ in range(asked):
        answer(server, question)
    return (len(_logged(server)) - before) / asked


def _logged(server: Server) -> list[str]:
    time.sleep(0.05)  # what cleans a connection may come after the answer
    texts = _ENTRY.findall(server.postgresql.log.read_text())
    return [text for text in texts if text.strip() and not text.startswith(_CARE)]
