-- The counts are those of visible rows. An article is visible when neither it nor its author is
-- hidden. A missing parent counts as visible: the foreign key refuses it at COMMIT.
--
-- These functions replace those of 0007 under the same names, so its triggers call them. Each
-- collects the changes of one statement as rows of articles_tally, without an id.

-- Adds changes to the stored counts. Called by the triggers below, with their settings.
--
-- A tally row that another transaction has locked is skipped: nobody waits. An increase takes one
-- row, because looking for more made a favorite a tenth slower. A decrease merges all free rows,
-- so that nothing stays of a deleted article. Many changes are merged in one statement: of 200,000
-- favorites a loop took two to four times as long.
CREATE FUNCTION change_tallies(changes articles_tally[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    change articles_tally;
    free tid[];
    total bigint;
BEGIN
    IF changes IS NULL THEN
        RETURN;
    END IF;
    IF cardinality(changes) > 10 THEN
        SELECT array_agg(part.ctid) INTO free FROM unnest(changes) AS changed, LATERAL (
            SELECT ctid FROM articles_tally
            WHERE counted = changed.counted AND key = changed.key
            FOR UPDATE SKIP LOCKED
        ) AS part;
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
            SELECT array_agg(part.ctid), sum(part.count) + change.count INTO free, total FROM (
                SELECT ctid, count FROM articles_tally
                WHERE counted = change.counted AND key = change.key
                FOR UPDATE SKIP LOCKED
            ) AS part;
        END IF;
        -- A second statement: the first may return row versions that it could not update.
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

-- How a row is counted once, or not at all, when its article or author is hidden at that moment:
--
-- * Hiding locks the article or the user FOR UPDATE. A new article, tagging or favorite holds the
--   lock of its foreign key, FOR KEY SHARE: either it waits and then sees the mark, or it is waited
--   for and then seen.
-- * Hiding locks what it subtracts. A favorite that is deleted meanwhile is waited for and then
--   not subtracted, or its deletion waits and then sees the mark.
--
-- So no deletion has to lock a parent: it would deadlock with the deletion of that parent.

-- Which of these users are hidden, locked as by a foreign key to them.
CREATE FUNCTION hidden_users_among(ids bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(id) FILTER (WHERE hidden_at IS NOT NULL), '{}') FROM (
            SELECT id, hidden_at FROM users_user WHERE id = ANY (ids) ORDER BY id FOR KEY SHARE
        ) AS locked
    );
END $$;

-- Which of these articles are hidden, by themselves or with their author. A LEFT JOIN, because the
-- cascade from a deleted user deletes the articles after the user.
CREATE FUNCTION hidden_articles_among(ids bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(article.id), '{}')
        FROM articles_article AS article LEFT JOIN users_user AS author ON author.id = author_id
        WHERE article.id = ANY (ids)
            AND (article.hidden_at IS NOT NULL OR author.hidden_at IS NOT NULL)
    );
END $$;

-- Counts of kind 1 (all articles, key 0) and 3 (articles of an author).

CREATE OR REPLACE FUNCTION articles_article_tally_insert() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    hidden_users bigint[] := hidden_users_among(ARRAY(SELECT DISTINCT author_id FROM fresh));
BEGIN
    PERFORM change_tallies(array_agg(change)) FROM (
        WITH visible AS (
            SELECT author_id FROM fresh
            WHERE hidden_at IS NULL AND author_id NOT IN (SELECT unnest(hidden_users))
        )
        SELECT (NULL, 1, 0, count(*))::articles_tally AS change FROM visible HAVING count(*) > 0
        UNION ALL
        SELECT (NULL, 3, author_id, count(*))::articles_tally FROM visible GROUP BY author_id
    ) AS changes;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION articles_article_tally_delete() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM change_tallies(array_agg(change)) FROM (
        WITH visible AS (
            SELECT author_id FROM gone
            WHERE hidden_at IS NULL AND author_id NOT IN (
                SELECT id FROM users_user WHERE hidden_at IS NOT NULL
            )
        )
        SELECT (NULL, 1, 0, -count(*))::articles_tally AS change FROM visible HAVING count(*) > 0
        UNION ALL
        SELECT (NULL, 3, author_id, -count(*))::articles_tally FROM visible GROUP BY author_id
    ) AS changes;
    RETURN NULL;
END $$;

-- Another author, or another mark. A new mark also changes the counts of what belongs to the
-- article, of kind 2 (articles of a tag) and kind 5 (favorites of a user), and the copy of the mark
-- in its taggings.
CREATE OR REPLACE FUNCTION articles_article_tally_update() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    hidden_users bigint[];
    shown bigint[];
    hidden bigint[];
BEGIN
    PERFORM FROM gone FULL JOIN fresh USING (id)
        WHERE (gone.author_id, gone.hidden_at) IS DISTINCT FROM (fresh.author_id, fresh.hidden_at)
        LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL; -- most updates change the text alone
    END IF;
    hidden_users := hidden_users_among(ARRAY(
        SELECT author_id FROM gone UNION SELECT author_id FROM fresh
    ));
    WITH before AS (
        SELECT id FROM gone
        WHERE hidden_at IS NOT NULL OR author_id IN (SELECT unnest(hidden_users))
    ), now AS (
        SELECT id FROM fresh
        WHERE hidden_at IS NOT NULL OR author_id IN (SELECT unnest(hidden_users))
    )
    SELECT ARRAY(TABLE before EXCEPT TABLE now), ARRAY(TABLE now EXCEPT TABLE before)
        INTO shown, hidden;
    UPDATE articles_tagging SET article_hidden = fresh.hidden_at IS NOT NULL
        FROM fresh JOIN gone USING (id)
        WHERE article_id = fresh.id AND (fresh.hidden_at IS NULL) <> (gone.hidden_at IS NULL);
    PERFORM FROM articles_tagging WHERE article_id = ANY (shown || hidden)
        ORDER BY id FOR KEY SHARE;
    PERFORM FROM articles_favorite WHERE article_id = ANY (shown || hidden)
        ORDER BY id FOR KEY SHARE;
    PERFORM change_tallies(array_agg(change)) FROM (
        WITH visible AS (
            SELECT author_id, 1 AS count FROM fresh
            WHERE hidden_at IS NULL AND author_id NOT IN (SELECT unnest(hidden_users))
            UNION ALL
            SELECT author_id, -1 FROM gone
            WHERE hidden_at IS NULL AND author_id NOT IN (SELECT unnest(hidden_users))
        ), turned AS (
            SELECT unnest(shown) AS id, 1 AS count UNION ALL SELECT unnest(hidden), -1
        )
        SELECT (NULL, 1, 0, sum(count))::articles_tally AS change FROM visible
            HAVING sum(count) <> 0
        UNION ALL
        SELECT (NULL, 3, author_id, sum(count))::articles_tally FROM visible
            GROUP BY author_id HAVING sum(count) <> 0
        UNION ALL
        SELECT (NULL, 2, tag_id, sum(count))::articles_tally
            FROM turned JOIN articles_tagging ON article_id = turned.id
            GROUP BY tag_id HAVING sum(count) <> 0
        UNION ALL
        SELECT (NULL, 5, user_id, sum(count))::articles_tally
            FROM turned JOIN articles_favorite ON article_id = turned.id
            GROUP BY user_id HAVING sum(count) <> 0
    ) AS changes;
    RETURN NULL;
END $$;

-- Counts of kind 2 (articles of a tag). copy_from_article has locked the article of a new row.

CREATE OR REPLACE FUNCTION articles_tagging_tally_insert() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM change_tallies(array_agg(change)) FROM (
        SELECT (NULL, 2, tag_id, count(*))::articles_tally AS change FROM fresh
            WHERE NOT article_hidden AND NOT EXISTS (
                SELECT FROM users_user WHERE id = article_author_id AND hidden_at IS NOT NULL
            )
            GROUP BY tag_id
    ) AS changes;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION articles_tagging_tally_delete() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    hidden bigint[] := hidden_articles_among(ARRAY(SELECT DISTINCT article_id FROM gone));
BEGIN
    PERFORM change_tallies(array_agg(change)) FROM (
        SELECT (NULL, 2, tag_id, -count(*))::articles_tally AS change FROM gone
        WHERE article_id NOT IN (SELECT unnest(hidden)) GROUP BY tag_id
    ) AS changes;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION articles_tagging_tally_update() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    hidden bigint[] := hidden_articles_among(ARRAY(
        SELECT article_id FROM gone UNION SELECT article_id FROM fresh
    ));
BEGIN
    PERFORM change_tallies(array_agg(change)) FROM (
        WITH taggings AS (
            SELECT article_id, tag_id, 1 AS count FROM fresh
            UNION ALL
            SELECT article_id, tag_id, -1 FROM gone
        )
        SELECT (NULL, 2, tag_id, sum(count))::articles_tally AS change FROM taggings
        WHERE article_id NOT IN (SELECT unnest(hidden))
        GROUP BY tag_id HAVING sum(count) <> 0
    ) AS changes;
    RETURN NULL;
END $$;

-- Counts of kind 4 (favorites of an article, hidden or not) and 5 (favorites of a user).

CREATE OR REPLACE FUNCTION articles_favorite_tally_insert() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM change_tallies(array_agg(change)) FROM (
        SELECT (NULL, 4, article_id, count(*))::articles_tally AS change FROM fresh
            GROUP BY article_id
        UNION ALL
        SELECT (NULL, 5, user_id, count(*))::articles_tally FROM fresh
            WHERE NOT EXISTS (
                SELECT FROM articles_article WHERE id = article_id AND hidden_at IS NOT NULL
            ) AND NOT EXISTS (
                SELECT FROM users_user WHERE id = article_author_id AND hidden_at IS NOT NULL
            )
            GROUP BY user_id
    ) AS changes;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION articles_favorite_tally_delete() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    hidden bigint[] := hidden_articles_among(ARRAY(SELECT DISTINCT article_id FROM gone));
BEGIN
    PERFORM change_tallies(array_agg(change)) FROM (
        SELECT (NULL, 4, article_id, -count(*))::articles_tally AS change FROM gone
            GROUP BY article_id
        UNION ALL
        SELECT (NULL, 5, user_id, -count(*))::articles_tally FROM gone
            WHERE article_id NOT IN (SELECT unnest(hidden)) GROUP BY user_id
    ) AS changes;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION articles_favorite_tally_update() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    hidden bigint[] := hidden_articles_among(ARRAY(
        SELECT article_id FROM gone UNION SELECT article_id FROM fresh
    ));
BEGIN
    PERFORM change_tallies(array_agg(change)) FROM (
        WITH favorites AS (
            SELECT article_id, user_id, 1 AS count FROM fresh
            UNION ALL
            SELECT article_id, user_id, -1 FROM gone
        )
        SELECT (NULL, 4, article_id, sum(count))::articles_tally AS change FROM favorites
            GROUP BY article_id HAVING sum(count) <> 0
        UNION ALL
        SELECT (NULL, 5, user_id, sum(count))::articles_tally FROM favorites
            WHERE article_id NOT IN (SELECT unnest(hidden))
            GROUP BY user_id HAVING sum(count) <> 0
    ) AS changes;
    RETURN NULL;
END $$;

-- An article is hidden, or visible again.
CREATE TRIGGER wait_for_mark BEFORE UPDATE ON articles_article FOR EACH ROW
    WHEN ((OLD.hidden_at IS NULL) <> (NEW.hidden_at IS NULL))
    EXECUTE FUNCTION wait_for_copies();

-- A user is hidden, or visible again: their articles with them. The articles are locked before the
-- user is locked FOR UPDATE, in the order of an author who likes an article of their own; then those
-- that were published in between.

CREATE FUNCTION lock_user_with_articles() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM articles_article WHERE author_id = OLD.id ORDER BY id FOR UPDATE;
    PERFORM FROM users_user WHERE id = OLD.id FOR UPDATE;
    PERFORM FROM articles_article WHERE author_id = OLD.id ORDER BY id FOR UPDATE;
    RETURN NEW;
END $$;

CREATE FUNCTION users_user_tally_hide() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    sign integer := CASE WHEN NEW.hidden_at IS NULL THEN 1 ELSE -1 END;
    articles bigint[] := ARRAY(
        SELECT id FROM articles_article WHERE author_id = NEW.id AND hidden_at IS NULL
    );
BEGIN
    IF articles = '{}' THEN
        RETURN NULL;
    END IF;
    PERFORM FROM articles_tagging WHERE article_id = ANY (articles) ORDER BY id FOR KEY SHARE;
    PERFORM FROM articles_favorite WHERE article_id = ANY (articles) ORDER BY id FOR KEY SHARE;
    PERFORM change_tallies(array_agg(change)) FROM (
        SELECT (NULL, 1, 0, sign * cardinality(articles))::articles_tally AS change
        UNION ALL
        SELECT (NULL, 3, NEW.id, sign * cardinality(articles))::articles_tally
        UNION ALL
        SELECT (NULL, 2, tag_id, sign * count(*))::articles_tally
            FROM articles_tagging WHERE article_id = ANY (articles) GROUP BY tag_id
        UNION ALL
        SELECT (NULL, 5, user_id, sign * count(*))::articles_tally
            FROM articles_favorite WHERE article_id = ANY (articles) GROUP BY user_id
    ) AS changes;
    RETURN NULL;
END $$;

CREATE TRIGGER lock_user_with_articles BEFORE UPDATE ON users_user FOR EACH ROW
    WHEN ((OLD.hidden_at IS NULL) <> (NEW.hidden_at IS NULL))
    EXECUTE FUNCTION lock_user_with_articles();

CREATE TRIGGER users_user_tally_hide AFTER UPDATE ON users_user FOR EACH ROW
    WHEN ((OLD.hidden_at IS NULL) <> (NEW.hidden_at IS NULL))
    EXECUTE FUNCTION users_user_tally_hide();

-- As copy_from_article() of 0004, which favorites still use, with one column more.
CREATE FUNCTION copy_to_tagging() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
DECLARE
    article record;
BEGIN
    SELECT created_at, author_id, hidden_at INTO article
        FROM articles_article WHERE id = NEW.article_id FOR KEY SHARE;
    IF FOUND THEN
        NEW.article_created_at := article.created_at;
        NEW.article_author_id := article.author_id;
        NEW.article_hidden := article.hidden_at IS NOT NULL;
    END IF;
    RETURN NEW;
END $$;

DROP TRIGGER copy_from_article ON articles_tagging;
CREATE TRIGGER copy_from_article
    BEFORE INSERT
        OR UPDATE OF article_id, article_created_at, article_author_id, article_hidden
    ON articles_tagging FOR EACH ROW EXECUTE FUNCTION copy_to_tagging();

-- What belongs to a hidden row is deleted before it, by these triggers and not by the foreign keys.
-- The statement triggers of a cascade run after all cascades of the statement: they would not find
-- the hidden row any more, and subtract what it has a second time. So would those of the favorites
-- of a deleted user, if their articles are deleted in the same statement.

CREATE FUNCTION delete_below_user() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM articles_favorite WHERE user_id = OLD.id;
    IF OLD.hidden_at IS NOT NULL THEN
        DELETE FROM articles_article WHERE author_id = OLD.id;
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION delete_below_hidden_article() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    IF cardinality(hidden_articles_among(ARRAY[OLD.id])) > 0 THEN
        DELETE FROM articles_tagging WHERE article_id = OLD.id;
        DELETE FROM articles_favorite WHERE article_id = OLD.id;
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER delete_below_user BEFORE DELETE ON users_user FOR EACH ROW
    EXECUTE FUNCTION delete_below_user();

CREATE TRIGGER delete_below_hidden_article BEFORE DELETE ON articles_article FOR EACH ROW
    EXECUTE FUNCTION delete_below_hidden_article();
