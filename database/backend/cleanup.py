"""What a connection needs after a statement, before the pool lends it to the next request.

A statement may leave something in the session: a time zone, a temporary table, a lock. To reset
the session after every request would cost each request a round trip, and almost no request needs
it. So the text of each statement is inspected. A statement that is not known to be harmless counts
as harmful: a needless reset costs 0.1 ms, but without a necessary one the next request would have
the locks and settings of this one.
"""

import re
from enum import IntEnum
from functools import lru_cache


class Cleanup(IntEnum):
    """What the connection needs. The larger value includes the smaller ones."""

    NONE = 0
    RESET = 1
    """The statement may leave settings, locks, temporary tables or cursors: RESET removes them."""
    DISCARD = 2
    """The statement may leave what no reset removes, such as a prepared statement of its own or a
    loaded library: the connection must be closed."""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# First words of statements whose effects end with the transaction, or that change data only.
HARMLESS = words("""
    select insert update delete with values merge begin start commit end rollback savepoint
    release copy lock truncate analyze vacuum alter drop comment grant revoke
""")
# First words of statements whose effects no reset removes.
NEED_DISCARD = words("prepare load")
# Words before a parenthesis that are not functions: keywords, and types such as numeric(9, 2).
NOT_FUNCTIONS = words("""
    all and any array as between by case check conflict cube distinct else end except exists
    filter from group having in inner intersect into is join key lateral like limit materialized
    not offset on only or order over partition returning row rows select set sets some then
    union unique using values when where with within
    bit char character decimal numeric time timestamp timestamptz varchar varying
""")
# Functions of PostgreSQL that only compute, or whose effects end with the transaction. A function
# that is not listed may do anything.
HARMLESS_FUNCTIONS = words("""
    abs array_agg array_append array_length array_position array_remove array_to_string avg
    bool_and bool_or cardinality cast ceil ceiling coalesce concat concat_ws count cume_dist
    date_part date_trunc dense_rank exp extract first_value floor format generate_series
    greatest initcap json_agg json_build_array json_build_object json_object_agg jsonb_agg
    jsonb_array_elements jsonb_build_array jsonb_build_object jsonb_object_agg lag last_value
    lead least left length ln lower lpad ltrim max md5 min mod now nth_value ntile nullif
    percent_rank position pg_sleep power random rank regexp_replace replace reverse right round
    row_number row_to_json rpad rtrim sha256 sign split_part sqrt starts_with
    statement_timestamp stddev_pop stddev_samp string_agg strpos substr substring sum to_char
    to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector translate trim trunc
    ts_rank ts_rank_cd unnest upper var_pop var_samp version websearch_to_tsquery width_bucket
    pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_backend_pid pg_get_serial_sequence
    pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared txid_current
""")

# Functions of the project's own schema that only read (`declare_harmless`).
_own_functions: set[str] = set()

_FIRST_WORD = re.compile(r"\s*(\w*)")
# A SET that ends with the transaction.
_SETS_LOCALLY = re.compile(r"\s*set\s+(local|constraints|transaction)\b", re.IGNORECASE)
_CALLED = re.compile(r'(\w+)"?\s*\(')
# The table of an INSERT, followed by its columns: INSERT INTO "articles_tag" ("name") …
_TARGET = re.compile(r'\binsert\s+into\s+("[^"]+"|\w+)(\."[^"]+"|\.\w+)?\s*\(', re.IGNORECASE)
# SELECT … INTO creates a table, which may be a temporary one.
_SELECTS_INTO = re.compile(r"(?<!insert)(?<!merge)\s+into\b", re.IGNORECASE)


@lru_cache(maxsize=4_096)
def cleanup_after(statement: str) -> Cleanup:
    """What the connection needs after this SQL text, judged by its first word and by the functions
    that it calls.

    Functions behind operators, casts, triggers, defaults and views are trusted: they are part of
    the schema.
    """
    verb = first_word(statement)
    # The first word is not enough: there may be several statements, or a comment in front.
    if ";" in statement.rstrip("; \n") or "--" in statement or "/*" in statement:
        return Cleanup.DISCARD if _mentions_discard(statement) else Cleanup.RESET
    if verb in NEED_DISCARD:
        return Cleanup.DISCARD
    if _SETS_LOCALLY.match(statement):
        return Cleanup.NONE
    # An UPDATE of the view pg_settings is a SET.
    if verb not in HARMLESS or "pg_settings" in statement or _SELECTS_INTO.search(statement):
        return Cleanup.RESET
    called = _CALLED.findall(_TARGET.sub(" ", statement))
    if all(name.lower() in NOT_FUNCTIONS | HARMLESS_FUNCTIONS | _own_functions for name in called):
        return Cleanup.NONE
    return Cleanup.RESET


def first_word(statement: str) -> str:
    """In lower case; "" if the statement begins with something else, such as a comment."""
    match = _FIRST_WORD.match(statement)
    return match[1].lower() if match else ""


def declare_harmless(function: str) -> None:
    """Declare a function of the schema that changes no session state, by its name in lower case. An
    app calls this for the functions that its queries call."""
    _own_functions.add(function)
    cleanup_after.cache_clear()


def _mentions_discard(statement: str) -> bool:
    return any(word in NEED_DISCARD for word in re.findall(r"\w+", statement.lower()))
