"""Every count is kept by triggers, so that the admin, cascades, COPY and plain SQL count too.

It is one transaction that nobody writes to the three tables meanwhile: what is there is counted
once, and what comes afterwards finds the triggers.

One trigger for a statement, not for each row: a COPY of a million articles would update the
number of all articles a million times, past every version that it has left before.
"""

from django.db import migrations, models

from database.table_locks import EVERYBODY, WRITERS, lock

ALL = ("articles_article", "articles_tagging", "articles_favorite")

ARTICLES, ARTICLES_OF_TAG, ARTICLES_OF_AUTHOR, FAVORITES_OF_ARTICLE, FAVORITES_OF_USER = range(1, 6)

# What a row of a table counts for, and the key of that count.
KEYS = {
    "articles_article": {ARTICLES: "0", ARTICLES_OF_AUTHOR: "author_id"},
    "articles_tagging": {ARTICLES_OF_TAG: "tag_id"},
    "articles_favorite": {FAVORITES_OF_ARTICLE: "article_id", FAVORITES_OF_USER: "user_id"},
}

# Half of each page is left to the next versions of its rows: then an update stays in the page
# and writes to no index.
STORAGE = "ALTER TABLE articles_tally SET (fillfactor = 50);"

# By event: what PostgreSQL calls the rows, and how each key of theirs changes.
CHANGES = {
    "INSERT": (
        "NEW TABLE AS fresh",
        "SELECT {counted} AS counted, {key}::bigint AS key, count(*) AS change FROM fresh GROUP BY 2",
    ),
    "DELETE": (
        "OLD TABLE AS gone",
        "SELECT {counted} AS counted, {key}::bigint AS key, -count(*) AS change FROM gone GROUP BY 2",
    ),
    "UPDATE": (
        "OLD TABLE AS gone NEW TABLE AS fresh",
        "SELECT {counted} AS counted, key, sum(change) AS change FROM ("
        "SELECT {key}::bigint AS key, 1 AS change FROM fresh UNION ALL SELECT {key}, -1 FROM gone"
        ") AS moved GROUP BY 2 HAVING sum(change) <> 0",
    ),
}

# What adds takes one row of the count that no other transaction has changed: to look for no more
# makes favorites a tenth faster. What takes away makes one row of all it finds: of an article that
# is deleted, whose favorites nobody else can change any more, nothing stays.
TAKE_ONE = """SELECT ARRAY[ctid], count + counts.change INTO free, total FROM articles_tally
            WHERE counted = counts.counted AND key = counts.key
            LIMIT 1 FOR UPDATE SKIP LOCKED"""
TAKE_ALL = """SELECT array_agg(part.ctid), sum(part.count) + counts.change INTO free, total FROM (
            SELECT ctid, count FROM articles_tally
            WHERE counted = counts.counted AND key = counts.key
            FOR UPDATE SKIP LOCKED
        ) AS part"""

# Few rows change their keys one by one: to join them made an article slower to publish. Many rows
# replace what is stored of all their keys at once: of 200,000 favorites, counting then costs a
# quarter to two fifths of what a round for each did where they are loaded, and two thirds where
# their article is deleted.
#
# What is taken is changed by a statement of its own: the one that takes may find versions of rows
# that are newer than it can see.
#
# The planner gets no choice: where the table was small when a session began, it would read all of
# it for every key of a COPY that makes it large. The search path is that of the migration, whatever
# that of the writer.
COUNT = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    counts record;
    free tid[];
    total bigint;
BEGIN
    PERFORM FROM {changed} OFFSET 10 LIMIT 1;
    IF FOUND THEN
        SELECT array_agg(part.ctid) INTO free FROM ({changes}) AS changed, LATERAL (
            SELECT ctid FROM articles_tally
            WHERE counted = changed.counted AND key = changed.key
            FOR UPDATE SKIP LOCKED
        ) AS part;
        WITH taken AS (
            DELETE FROM articles_tally WHERE ctid = ANY (free) RETURNING counted, key, count
        )
        INSERT INTO articles_tally (counted, key, count)
            SELECT counted, key, sum(change) FROM ({changes} UNION ALL TABLE taken) AS parts
            GROUP BY counted, key HAVING sum(change) <> 0;
        RETURN NULL;
    END IF;
    FOR counts IN {changes} LOOP
        {take};
        IF free IS NULL THEN
            INSERT INTO articles_tally (counted, key, count)
                VALUES (counts.counted, counts.key, counts.change);
        ELSIF total = 0 THEN
            DELETE FROM articles_tally WHERE ctid = ANY (free);
        ELSE
            UPDATE articles_tally SET count = total WHERE ctid = free[1];
            IF cardinality(free) > 1 THEN
                DELETE FROM articles_tally WHERE ctid = ANY (free[2:]);
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER {function} AFTER {event} ON {table} REFERENCING {rows}
    FOR EACH STATEMENT EXECUTE FUNCTION {function}();
"""

FORGET = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM articles_tally WHERE counted IN ({counted});
    RETURN NULL;
END $$;

CREATE TRIGGER {function} AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {function}();
"""

FILL = """
INSERT INTO articles_tally (counted, key, count)
    SELECT {counted}, {key}, count(*) FROM {table} GROUP BY 2;
"""

DROP = """
DROP TRIGGER {function} ON {table};
DROP FUNCTION {function}();
"""


def function(table: str, event: str) -> str:
    return f"{table}_tally_{event.lower()}"


def create_triggers() -> str:
    statements = []
    for table, keys in KEYS.items():
        for event, (rows, change) in CHANGES.items():
            changes = [change.format(counted=counted, key=key) for counted, key in keys.items()]
            names = {"function": function(table, event), "event": event, "table": table}
            names |= {"rows": rows, "take": TAKE_ONE if event == "INSERT" else TAKE_ALL}
            names |= {"changed": "fresh" if event == "INSERT" else "gone"}
            statements.append(COUNT.format(**names, changes=" UNION ALL ".join(changes)))
        counted = ", ".join(map(str, keys))
        name = function(table, "TRUNCATE")
        statements.append(FORGET.format(function=name, table=table, counted=counted))
    return "".join(statements)


def drop_triggers() -> str:
    return "".join(
        DROP.format(function=function(table, event), table=table)
        for table in KEYS
        for event in (*CHANGES, "TRUNCATE")
    )


def fill() -> str:
    return "".join(
        FILL.format(table=table, counted=counted, key=key)
        for table, keys in KEYS.items()
        for counted, key in keys.items()
    )


class Migration(migrations.Migration):
    dependencies = [("articles", "0006_drop_articles_of_tag")]

    operations = [
        lock(*ALL, forwards=WRITERS),
        migrations.CreateModel(
            name="Tally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "counted",
                    models.SmallIntegerField(
                        choices=[
                            (ARTICLES, "articles"),
                            (ARTICLES_OF_TAG, "articles of a tag"),
                            (ARTICLES_OF_AUTHOR, "articles of an author"),
                            (FAVORITES_OF_ARTICLE, "favorites of an article"),
                            (FAVORITES_OF_USER, "favorites of a user"),
                        ]
                    ),
                ),
                ("key", models.BigIntegerField()),
                ("count", models.IntegerField()),
            ],
            options={
                "verbose_name_plural": "tallies",
                "indexes": [models.Index(fields=["counted", "key"], name="tally_of_key")],
            },
        ),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(create_triggers(), drop_triggers()),
        migrations.RunSQL(fill(), migrations.RunSQL.noop),
        lock(*ALL, backwards=EVERYBODY),
    ]
