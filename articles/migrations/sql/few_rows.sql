-- The functions of counts.sql, hidden_counts.sql and tag_names.sql that run for every new article,
-- tag and favorite, made cheaper.
--
-- Most statements write few rows. Starting a query that groups the rows takes longer than counting
-- a few rows one by one. So the rows of a statement of at most ten rows are counted one by one.

-- Adds a change to one count. An increase updates one free row of the count. A decrease merges all
-- free rows, so that a deleted article leaves no row. A count of 0 has no row.
CREATE FUNCTION change_tally(kind integer, of bigint, change bigint) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    free tid[];
    total bigint;
BEGIN
    IF change > 0 THEN
        UPDATE articles_tally SET count = count + change
            WHERE count + change <> 0 AND ctid = (
                SELECT ctid FROM articles_tally WHERE counted = kind AND key = of
                LIMIT 1 FOR UPDATE SKIP LOCKED
            );
        IF FOUND THEN
            RETURN;
        END IF;
        -- The locked row version may be newer than the snapshot of the UPDATE. Only a later
        -- statement can change that version.
        SELECT ARRAY[ctid], count + change INTO free, total
            FROM articles_tally WHERE counted = kind AND key = of LIMIT 1 FOR UPDATE SKIP LOCKED;
    ELSE
        SELECT array_agg(tally.ctid), sum(tally.count) + change INTO free, total FROM (
            SELECT ctid, count FROM articles_tally WHERE counted = kind AND key = of
            FOR UPDATE SKIP LOCKED
        ) AS tally;
    END IF;
    IF free IS NULL THEN
        INSERT INTO articles_tally (counted, key, count) VALUES (kind, of, change);
    ELSIF total = 0 THEN
        DELETE FROM articles_tally WHERE ctid = ANY (free);
    ELSE
        UPDATE articles_tally SET count = total WHERE ctid = free[1];
        IF cardinality(free) > 1 THEN
            DELETE FROM articles_tally WHERE ctid = ANY (free[2:]);
        END IF;
    END IF;
END $$;

-- Merges many changes in one statement: for 200,000 favorites a loop takes two to four times as
-- long.
CREATE OR REPLACE FUNCTION change_tallies(changes articles_tally[]) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    change articles_tally;
    free tid[];
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
        PERFORM change_tally(change.counted, change.key, change.count);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION count_articles() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    sign integer := TG_ARGV[0];
BEGIN
    IF TG_OP = 'INSERT' THEN -- the foreign key locks the authors too late, at COMMIT
        PERFORM FROM users_user WHERE id = ANY (ARRAY(SELECT author_id FROM changed_rows))
            ORDER BY id FOR KEY SHARE;
    END IF;
    IF (SELECT count(*) FROM changed_rows) <= 10 THEN
        PERFORM change_tally(1, 0, sign), change_tally(3, author_id, sign) FROM changed_rows
            WHERE hidden_at IS NULL
                AND (SELECT hidden_at FROM users_user WHERE id = author_id) IS NULL;
        RETURN NULL;
    END IF;
    PERFORM change_tallies(ARRAY(
        WITH visible AS (
            SELECT author_id FROM changed_rows
            WHERE hidden_at IS NULL AND author_id NOT IN (
                SELECT id FROM users_user
                WHERE id = ANY (ARRAY(SELECT author_id FROM changed_rows))
                    AND hidden_at IS NOT NULL
            )
        )
        SELECT (NULL, 1, 0, sign * count(*))::articles_tally FROM visible HAVING count(*) > 0
        UNION ALL
        SELECT (NULL, 3, author_id, sign * count(*))::articles_tally FROM visible
            GROUP BY author_id
    ));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_taggings() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    sign integer := TG_ARGV[0];
BEGIN
    IF (SELECT count(*) FROM changed_rows) <= 10 THEN
        PERFORM change_tally(2, tag_id, sign) FROM changed_rows
            WHERE NOT article_hidden
                AND (SELECT hidden_at FROM users_user WHERE id = article_author_id) IS NULL;
        RETURN NULL;
    END IF;
    PERFORM change_tallies(ARRAY(
        SELECT (NULL, 2, tag_id, sign * count(*))::articles_tally FROM changed_rows
            WHERE NOT article_hidden AND article_author_id NOT IN (
                SELECT id FROM users_user
                WHERE id = ANY (ARRAY(SELECT article_author_id FROM changed_rows))
                    AND hidden_at IS NOT NULL
            )
            GROUP BY tag_id
    ));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_favorites() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    sign integer := TG_ARGV[0];
BEGIN
    IF (SELECT count(*) FROM changed_rows) <= 10 THEN
        PERFORM change_tally(4, article_id, sign), CASE
            WHEN (SELECT hidden_at FROM articles_article WHERE id = article_id) IS NULL
                AND (SELECT hidden_at FROM users_user WHERE id = article_author_id) IS NULL
            THEN change_tally(5, user_id, sign)
        END FROM changed_rows;
        RETURN NULL;
    END IF;
    PERFORM change_tallies(ARRAY(
        SELECT (NULL, 4, article_id, sign * count(*))::articles_tally FROM changed_rows
            GROUP BY article_id
        UNION ALL
        SELECT (NULL, 5, user_id, sign * count(*))::articles_tally FROM changed_rows
            WHERE article_id NOT IN (
                SELECT id FROM articles_article
                WHERE id = ANY (ARRAY(SELECT article_id FROM changed_rows))
                    AND hidden_at IS NOT NULL
            ) AND article_author_id NOT IN (
                SELECT id FROM users_user
                WHERE id = ANY (ARRAY(SELECT article_author_id FROM changed_rows))
                    AND hidden_at IS NOT NULL
            )
            GROUP BY user_id
    ));
    RETURN NULL;
END $$;

-- PostgreSQL would plan a statement with an array parameter anew at each call. The articles of new
-- taggings are already locked by copy_to_tagging(), and have the right names if they are new too.
CREATE OR REPLACE FUNCTION store_names_of_taggings() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    tags bigint[];
    articles bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM FROM articles_tag WHERE id = ANY (ARRAY(SELECT tag_id FROM new_rows))
            ORDER BY id FOR KEY SHARE;
        articles := ARRAY(
            SELECT id FROM articles_article
            WHERE id = ANY (ARRAY(SELECT article_id FROM new_rows))
                AND tag_names IS DISTINCT FROM tag_names_of(id)
        );
    ELSIF TG_OP = 'DELETE' THEN
        articles := ARRAY(SELECT DISTINCT article_id FROM old_rows);
    ELSE
        WITH changed AS (
            SELECT old_rows.article_id AS old_article, new_rows.article_id AS new_article,
                new_rows.tag_id
            FROM old_rows FULL JOIN new_rows USING (id)
            WHERE (old_rows.article_id, old_rows.tag_id)
                IS DISTINCT FROM (new_rows.article_id, new_rows.tag_id)
        )
        SELECT ARRAY(SELECT tag_id FROM changed),
            ARRAY(SELECT old_article FROM changed UNION SELECT new_article FROM changed)
            INTO tags, articles;
        PERFORM FROM articles_tag WHERE id = ANY (tags) ORDER BY id FOR KEY SHARE;
    END IF;
    IF articles <> '{}' THEN
        PERFORM store_tag_names(articles);
    END IF;
    RETURN NULL;
END $$;

-- No other transaction can change the article before it is committed.
CREATE OR REPLACE FUNCTION correct_first_tag_names() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM articles_article
        WHERE id = NEW.id AND tag_names IS DISTINCT FROM tag_names_of(id);
    IF FOUND THEN
        PERFORM store_tag_names(ARRAY[NEW.id]);
    END IF;
    RETURN NULL;
END $$;
