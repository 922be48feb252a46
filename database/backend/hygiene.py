"""Which statements leave something in the session, for its next user to stumble over.

A connection comes back to the pool after every request; to reset it each time would cost
every request a round trip, for nothing in nearly all of them. So the statements are looked at.
Whatever is not known to be harmless counts as harmful: a reset too many costs 0.1 ms, one too
few gives somebody else's time zone, temporary table or lock to a stranger.
"""

import re
from enum import IntEnum
from functools import lru_cache


class Leaves(IntEnum):
    """What a statement may leave behind, the worse the larger."""

    NOTHING = 0
    STATE = 1
    """Settings, locks, temporary tables, cursors: a reset takes them back."""
    NAMES = 2
    """Prepared statements of its own, libraries: only a new session is rid of them."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Their effects end with the transaction, or are data.
HARMLESS = _words("""
    select insert update delete with values merge begin start commit end rollback savepoint
    release copy lock truncate analyze vacuum alter drop comment grant revoke
""")
# Only a new session is rid of these.
FOR_GOOD = _words("prepare load")
# What stands before a parenthesis without being a function: words, types such as numeric(9, 2).
NO_FUNCTIONS = _words("""
    all and any array as between by case check conflict cube distinct else end except exists
    filter from group having in inner intersect into is join key lateral like limit materialized
    not offset on only or order over partition returning row rows select set sets some then
    union unique using values when where with within
    bit char character decimal numeric time timestamp timestamptz varchar varying
""")
# Functions of PostgreSQL's that compute, or whose effects end with the transaction. One that
# is not here may do anything.
COMPUTE = _words("""
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

_FIRST_WORD = re.compile(r"\s*(\w*)")
# SET, but for the transaction alone.
_SETS_FOR_NOW = re.compile(r"\s*set\s+(local|constraints|transaction)\b", re.IGNORECASE)
_CALLED = re.compile(r'(\w+)"?\s*\(')
# The table whose columns follow: INSERT INTO "articles_tag" ("name") …
_TARGET = re.compile(r'\binsert\s+into\s+("[^"]+"|\w+)(\."[^"]+"|\.\w+)?\s*\(', re.IGNORECASE)
# SELECT … INTO makes a table, which may be a temporary one.
_SELECTS_INTO = re.compile(r"(?<!insert)(?<!merge)\s+into\b", re.IGNORECASE)


@lru_cache(maxsize=4_096)
def leaves(statement: str) -> Leaves:
    """What the text of a statement may leave in its session: `SELECT 1` nothing.

    It looks at the first word, and at every function that is called. Functions behind
    operators, casts, triggers, defaults and views are trusted; they are part of the schema.
    """
    first = _FIRST_WORD.match(statement)
    verb = first[1].lower() if first else ""
    # Several statements are one to the driver; a comment may hide anything.
    if ";" in statement.rstrip("; \n") or "--" in statement or "/*" in statement:
        return Leaves.NAMES if _mentions_for_good(statement) else Leaves.STATE
    if verb in FOR_GOOD:
        return Leaves.NAMES
    if _SETS_FOR_NOW.match(statement):
        return Leaves.NOTHING
    # An update of the view pg_settings is a SET.
    if verb not in HARMLESS or "pg_settings" in statement or _SELECTS_INTO.search(statement):
        return Leaves.STATE
    called = _CALLED.findall(_TARGET.sub(" ", statement))
    if all(name.lower() in NO_FUNCTIONS | COMPUTE for name in called):
        return Leaves.NOTHING
    return Leaves.STATE


def _mentions_for_good(statement: str) -> bool:
    return any(word in FOR_GOOD for word in re.findall(r"\w+", statement.lower()))
