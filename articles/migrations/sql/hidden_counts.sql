-- The counts (counts.sql lists their kinds) include visible rows only. An article is visible if
-- neither the article nor its author is hidden. A row whose parent is missing counts as visible:
-- the foreign key refuses the row, since migration 0016 at the end of the statement. Only the count
-- of kind 4, favorites of an article, includes hidden articles.
--
-- The mark of a hidden row is `hidden_at`. A transaction that hides an article or a user can run at
-- the same time as one that adds or deletes rows below it. Each row is still counted exactly once,
-- or not at all:
--
-- * The hiding transaction locks the article or the user FOR UPDATE. A new article, tagging or
--   favorite locks its parent FOR KEY SHARE, because of its foreign key. Either the new row waits
--   and then sees the mark, or the hiding transaction waits and then sees the new row.
-- * The hiding transaction locks the rows that it subtracts. Either it waits for the deletion of a
--   favorite and then does not subtract the favorite, or the deletion waits and then sees the mark.
--
-- So a deletion does not have to lock a parent. Such a lock would deadlock with the deletion of the
-- parent.

-- Hidden parents are found by `id = ANY (ARRAY(…))`, which is always an index scan. A session keeps
-- its plans: after a statement of very many rows, a join could read a whole table for each later row.
-- A function that takes the array would be planned anew at each call: a favorite then takes twice as
-- long.

CREATE OR REPLACE FUNCTION count_articles() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    sign integer := TG_ARGV[0];
BEGIN
    IF TG_OP = 'INSERT' THEN -- the foreign key locks the authors too late, at COMMIT
        PERFORM FROM users_user WHERE id = ANY (ARRAY(SELECT author_id FROM changed_rows))
            ORDER BY id FOR KEY SHARE;
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

-- For count_changed_taggings() and count_changed_favorites() of counts.sql. They count old and new
-- rows by the present visibility of the article. count_changed_articles() counts a change of the
-- article itself. That change also updates the copies in taggings and favorites, which changes no
-- count.
CREATE OR REPLACE FUNCTION is_visible_article(article_id bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT article.hidden_at IS NULL AND author.hidden_at IS NULL
        FROM articles_article AS article LEFT JOIN users_user AS author ON author.id = author_id
        WHERE article.id = article_id
    ) IS NOT FALSE;
END $$;

-- Counts the taggings and favorites of articles that become visible (sign 1) or hidden (-1).
CREATE FUNCTION count_below_articles(articles bigint[], sign integer) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM articles_tagging WHERE article_id = ANY (articles) ORDER BY id FOR KEY SHARE;
    PERFORM FROM articles_favorite WHERE article_id = ANY (articles) ORDER BY id FOR KEY SHARE;
    PERFORM change_tallies(ARRAY(
        SELECT (NULL, 2, tag_id, sign * count(*))::articles_tally
            FROM articles_tagging WHERE article_id = ANY (articles) GROUP BY tag_id
        UNION ALL
        SELECT (NULL, 5, user_id, sign * count(*))::articles_tally
            FROM articles_favorite WHERE article_id = ANY (articles) GROUP BY user_id
    ));
END $$;

-- Counts a change of the author or of the mark, and copies the mark to the taggings.
CREATE OR REPLACE FUNCTION count_changed_articles() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    changes articles_tally[];
    shown bigint[];
    hidden bigint[];
BEGIN
    PERFORM FROM old_rows FULL JOIN new_rows USING (id)
        WHERE (old_rows.author_id, old_rows.hidden_at)
            IS DISTINCT FROM (new_rows.author_id, new_rows.hidden_at)
        LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL; -- most updates change only the text
    END IF;
    PERFORM FROM users_user
        WHERE id = ANY (ARRAY(SELECT author_id FROM old_rows UNION SELECT author_id FROM new_rows))
        ORDER BY id FOR KEY SHARE;
    UPDATE articles_tagging SET article_hidden = new_rows.hidden_at IS NOT NULL
        FROM new_rows JOIN old_rows USING (id)
        WHERE article_id = new_rows.id
            AND (new_rows.hidden_at IS NULL) <> (old_rows.hidden_at IS NULL);
    WITH article AS (
        SELECT sign, id, author_id, hidden_at IS NOT NULL OR (
            SELECT hidden_at IS NULL FROM users_user WHERE id = changed.author_id
        ) IS FALSE AS hidden
        FROM (
            SELECT 1 AS sign, id, author_id, hidden_at FROM new_rows
            UNION ALL
            SELECT -1, id, author_id, hidden_at FROM old_rows
        ) AS changed
    )
    SELECT
        ARRAY(
            SELECT (NULL, 1, 0, sum(sign))::articles_tally FROM article
                WHERE NOT article.hidden HAVING sum(sign) <> 0
            UNION ALL
            SELECT (NULL, 3, author_id, sum(sign))::articles_tally FROM article
                WHERE NOT article.hidden GROUP BY author_id HAVING sum(sign) <> 0
        ),
        ARRAY(SELECT id FROM article WHERE article.hidden GROUP BY id HAVING sum(sign) < 0),
        ARRAY(SELECT id FROM article WHERE article.hidden GROUP BY id HAVING sum(sign) > 0)
        INTO changes, shown, hidden;
    PERFORM change_tallies(changes);
    PERFORM count_below_articles(shown, 1);
    PERFORM count_below_articles(hidden, -1);
    RETURN NULL;
END $$;

CREATE TRIGGER wait_for_mark BEFORE UPDATE ON articles_article FOR EACH ROW
    WHEN ((OLD.hidden_at IS NULL) <> (NEW.hidden_at IS NULL))
    EXECUTE FUNCTION wait_for_copies();

-- Hiding a user hides all articles of the user. The articles are locked before the user, in the
-- order in which an author who likes their own article takes the locks. Articles that were
-- published in between are locked at the end.
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
    change integer := sign * cardinality(articles);
BEGIN
    IF articles <> '{}' THEN
        PERFORM change_tallies(
            ARRAY[(NULL, 1, 0, change), (NULL, 3, NEW.id, change)]::articles_tally[]
        );
        PERFORM count_below_articles(articles, sign);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER lock_user_with_articles BEFORE UPDATE ON users_user FOR EACH ROW
    WHEN ((OLD.hidden_at IS NULL) <> (NEW.hidden_at IS NULL))
    EXECUTE FUNCTION lock_user_with_articles();

CREATE TRIGGER users_user_tally_hide AFTER UPDATE ON users_user FOR EACH ROW
    WHEN ((OLD.hidden_at IS NULL) <> (NEW.hidden_at IS NULL))
    EXECUTE FUNCTION users_user_tally_hide();

-- Like copy_from_article() of 0004, which favorites still use, with one column more.
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

CREATE OR REPLACE TRIGGER copy_from_article
    BEFORE INSERT
        OR UPDATE OF article_id, article_created_at, article_author_id, article_hidden
    ON articles_tagging FOR EACH ROW EXECUTE FUNCTION copy_to_tagging();

-- These triggers delete the rows below a hidden row before the hidden row itself. The foreign keys
-- would delete them afterwards. The statement triggers of a cascade run after all cascades of the
-- statement: they would not find the hidden row, and would subtract its rows a second time. The
-- same holds for the favorites of a deleted user whose articles are deleted in the same statement.

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
    IF NOT is_visible_article(OLD.id) THEN
        DELETE FROM articles_tagging WHERE article_id = OLD.id;
        DELETE FROM articles_favorite WHERE article_id = OLD.id;
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER delete_below_user BEFORE DELETE ON users_user FOR EACH ROW
    EXECUTE FUNCTION delete_below_user();

CREATE TRIGGER delete_below_hidden_article BEFORE DELETE ON articles_article FOR EACH ROW
    EXECUTE FUNCTION delete_below_hidden_article();
