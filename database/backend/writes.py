"""Which statements may have changed data, so that their position must be recorded."""

import re
from functools import lru_cache

from database.backend.cleanup import Cleanup, cleanup_after, first_word, words

# First words of statements that change no data. BEGIN, COMMIT and the like change none themselves.
_READ = words("select values set begin start commit end rollback savepoint release with")
# COMMIT PREPARED commits what another session has written.
_WRITES_INSIDE = re.compile(r"\b(insert|update|delete|merge|prepared)\b", re.IGNORECASE)


@lru_cache(maxsize=4_096)
def may_write(statement: str) -> bool:
    """Whether this SQL text may change data, judged by its first word and the functions that it
    calls. A SELECT … FOR UPDATE changes none, but counts: its text has the word UPDATE."""
    if first_word(statement) not in _READ:
        return True
    # A function that is not known to be harmless may write. So may each of several statements.
    return cleanup_after(statement) is not Cleanup.NONE or bool(_WRITES_INSIDE.search(statement))


@lru_cache(maxsize=4_096)
def may_skip_flush(statement: str) -> bool:
    """Whether a transaction with this SQL text may commit before its WAL is flushed."""
    return "synchronous_commit" in statement.lower()
