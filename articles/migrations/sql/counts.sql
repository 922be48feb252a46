-- Stored counts: articles_tally (counted, key, count). `counted` is the kind of the count, and
-- `key` is an id:
--
--   1  all articles              0
--   2  articles of a tag         the tag
--   3  articles of an author     the user
--   4  favorites of an article   the article
--   5  favorites of a user       the user
--
-- A count is the sum of its rows. The triggers run once for each statement: a COPY of a million
-- articles changes the count of all articles once. INSERT and DELETE share a function: the trigger
-- passes the sign as its argument.
--
-- The functions keep the search path of the migration, because pg_restore inserts rows with an
-- empty search path. enable_seqscan is off because a session keeps its plans: a plan that was made
-- while the table was small would read the whole table for every key.
--
-- This file also runs on a database that has these functions and triggers, or those of version 0.1.0.

-- Adds changes to the stored counts. The trigger functions call it, so it runs with their settings.
-- Each change is a row of articles_tally without an id.
--
-- A tally row that another transaction has locked is skipped, so no writer waits. An increase
-- updates one row: to search for more rows would make a new favorite a tenth slower. A decrease
-- merges all free rows, so that a deleted article leaves no row. More than ten changes are merged
-- in one statement: for 200,000 favorites a loop takes two to four times as long. For a few
-- changes, the loop is faster.
CREATE OR REPLACE FUNCTION change_tallies(changes articles_tally[]) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    change articles_tally;
    free tid[];
    total bigint;
BEGIN
    IF cardinality(changes) > 10 THEN
        SELECT array_agg(tally.ctid) INTO free FROM unnest(changes) AS changed, LATERAL (
            SELECT ctid FROM articles_tally
            WHERE counted = changed.counted AND key = changed.key
            FOR UPDATE SKIP LOCKED
        ) AS tally;
        WITH taken AS (
            DELETE FROM articles_tally WHERE ctid = ANY (free) RETURNING counted, key, count
        )
        INSERT INTO articles_tally (counted, key, count)
            SELECT counted, key, sum(count) FROM (
                SELECT counted, key, count FROM unnest(changes) UNION ALL TABLE taken
            ) AS parts
            GROUP BY counted, key HAVING sum(count) <> 0;
        RETURN;
    END IF;
    FOREACH change IN ARRAY changes LOOP
        IF change.count > 0 THEN
            SELECT ARRAY[ctid], count + change.count INTO free, total FROM articles_tally
                WHERE counted = change.counted AND key = change.key
                LIMIT 1 FOR UPDATE SKIP LOCKED;
        ELSE
            SELECT array_agg(tally.ctid), sum(tally.count) + change.count INTO free, total FROM (
                SELECT ctid, count FROM articles_tally
                WHERE counted = change.counted AND key = change.key
                FOR UPDATE SKIP LOCKED
            ) AS tally;
        END IF;
        -- A separate statement: the first may lock a row version that is newer than its snapshot.
        -- Only a later statement can change that version.
        IF free IS NULL THEN
            INSERT INTO articles_tally (counted, key, count)
                VALUES (change.counted, change.key, change.count);
        ELSIF total = 0 THEN
            DELETE FROM articles_tally WHERE ctid = ANY (free);
        ELSE
            UPDATE articles_tally SET count = total WHERE ctid = free[1];
            IF cardinality(free) > 1 THEN
                DELETE FROM articles_tally WHERE ctid = ANY (free[2:]);
            END IF;
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION count_articles() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    sign integer := TG_ARGV[0];
BEGIN
    PERFORM change_tallies(ARRAY(
        SELECT (NULL, 1, 0, sign * count(*))::articles_tally FROM changed_rows HAVING count(*) > 0
        UNION ALL
        SELECT (NULL, 3, author_id, sign * count(*))::articles_tally FROM changed_rows
            GROUP BY author_id
    ));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_changed_articles() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM change_tallies(ARRAY(
        WITH article AS (
            SELECT 1 AS sign, author_id FROM new_rows UNION ALL SELECT -1, author_id FROM old_rows
        )
        SELECT (NULL, 3, author_id, sum(sign))::articles_tally FROM article
            GROUP BY author_id HAVING sum(sign) <> 0
    ));
    RETURN NULL;
END $$;

-- Migration 0011 replaces this function. Before that migration, no article can be hidden.
CREATE OR REPLACE FUNCTION is_visible_article(article_id bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION count_taggings() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    sign integer := TG_ARGV[0];
BEGIN
    PERFORM change_tallies(ARRAY(
        SELECT (NULL, 2, tag_id, sign * count(*))::articles_tally FROM changed_rows GROUP BY tag_id
    ));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_changed_taggings() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM change_tallies(ARRAY(
        WITH changed AS (
            SELECT article_id, tag_id, sum(sign) AS sign FROM (
                SELECT 1 AS sign, article_id, tag_id FROM new_rows
                UNION ALL
                SELECT -1, article_id, tag_id FROM old_rows
            ) AS tagging
            GROUP BY article_id, tag_id HAVING sum(sign) <> 0
        )
        SELECT (NULL, 2, tag_id, sum(sign))::articles_tally FROM changed
            WHERE is_visible_article(article_id) GROUP BY tag_id HAVING sum(sign) <> 0
    ));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_favorites() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    sign integer := TG_ARGV[0];
BEGIN
    PERFORM change_tallies(ARRAY(
        SELECT (NULL, 4, article_id, sign * count(*))::articles_tally FROM changed_rows
            GROUP BY article_id
        UNION ALL
        SELECT (NULL, 5, user_id, sign * count(*))::articles_tally FROM changed_rows
            GROUP BY user_id
    ));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_changed_favorites() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM change_tallies(ARRAY(
        WITH changed AS (
            SELECT article_id, user_id, sum(sign) AS sign FROM (
                SELECT 1 AS sign, article_id, user_id FROM new_rows
                UNION ALL
                SELECT -1, article_id, user_id FROM old_rows
            ) AS favorite
            GROUP BY article_id, user_id HAVING sum(sign) <> 0
        )
        SELECT (NULL, 4, article_id, sum(sign))::articles_tally FROM changed
            GROUP BY article_id HAVING sum(sign) <> 0
        UNION ALL
        SELECT (NULL, 5, user_id, sum(sign))::articles_tally FROM changed
            WHERE is_visible_article(article_id) GROUP BY user_id HAVING sum(sign) <> 0
    ));
    RETURN NULL;
END $$;

-- The arguments are the kinds that a TRUNCATE of the table sets to 0.
CREATE OR REPLACE FUNCTION delete_tallies() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM articles_tally WHERE counted = ANY (TG_ARGV::smallint[]);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER articles_article_tally_insert AFTER INSERT ON articles_article
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_articles('+1');
CREATE OR REPLACE TRIGGER articles_article_tally_delete AFTER DELETE ON articles_article
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_articles('-1');
CREATE OR REPLACE TRIGGER articles_article_tally_update AFTER UPDATE ON articles_article
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_articles();
CREATE OR REPLACE TRIGGER articles_article_tally_truncate AFTER TRUNCATE ON articles_article
    FOR EACH STATEMENT EXECUTE FUNCTION delete_tallies(1, 3);

CREATE OR REPLACE TRIGGER articles_tagging_tally_insert AFTER INSERT ON articles_tagging
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_taggings('+1');
CREATE OR REPLACE TRIGGER articles_tagging_tally_delete AFTER DELETE ON articles_tagging
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_taggings('-1');
CREATE OR REPLACE TRIGGER articles_tagging_tally_update AFTER UPDATE ON articles_tagging
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_taggings();
CREATE OR REPLACE TRIGGER articles_tagging_tally_truncate AFTER TRUNCATE ON articles_tagging
    FOR EACH STATEMENT EXECUTE FUNCTION delete_tallies(2);

CREATE OR REPLACE TRIGGER articles_favorite_tally_insert AFTER INSERT ON articles_favorite
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_favorites('+1');
CREATE OR REPLACE TRIGGER articles_favorite_tally_delete AFTER DELETE ON articles_favorite
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_favorites('-1');
CREATE OR REPLACE TRIGGER articles_favorite_tally_update AFTER UPDATE ON articles_favorite
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_favorites();
CREATE OR REPLACE TRIGGER articles_favorite_tally_truncate AFTER TRUNCATE ON articles_favorite
    FOR EACH STATEMENT EXECUTE FUNCTION delete_tallies(4, 5);

-- Version 0.1.0 created a function for each trigger.
DROP FUNCTION IF EXISTS
    articles_article_tally_insert(), articles_article_tally_delete(),
    articles_article_tally_update(), articles_article_tally_truncate(),
    articles_tagging_tally_insert(), articles_tagging_tally_delete(),
    articles_tagging_tally_update(), articles_tagging_tally_truncate(),
    articles_favorite_tally_insert(), articles_favorite_tally_delete(),
    articles_favorite_tally_update(), articles_favorite_tally_truncate();
