-- articles_article.tag_names: the names of the tags of an article, sorted by code point. The
-- triggers keep it equal to the taggings and tags, and overwrite any value supplied.
--
-- A writer first locks the articles. It reads the names in a later statement, which sees the
-- commits that the locks waited for. So two writers of one article do not lose each other's tags.
--
-- A transaction that renames a tag does not see a tagging that is not yet committed. The writer of
-- the tagging therefore locks the tag FOR KEY SHARE, which conflicts with a new name, because the
-- name is unique. Either the writer waits and then sees the new name, or the transaction that
-- renames waits and then sees the tagging.
--
-- This holds at READ COMMITTED, the default of Django and PostgreSQL, whose statements each see the
-- latest commits. A rename at REPEATABLE READ does not see the taggings that were committed after its
-- snapshot: these articles keep the old name until `verify_counts --repair`.
--
-- Locks are taken in this order, so that writers do not deadlock: tags, articles, taggings. Three
-- kinds of writers cannot keep it:
--
-- * A statement that updates or deletes taggings locks them before their articles. It can deadlock
--   with a transaction that deletes or hides one of the articles. It does not deadlock with
--   Article.lock_tags().
-- * A statement that deletes or renames several tags locks them one after the other.
-- * A transaction that updates an article twice locks its author at the second update, because
--   PostgreSQL then checks the foreign key. It can deadlock with the deletion of the author.
--   Article.lock_tags() prevents that.
--
-- The functions keep the search path of the migration, because pg_restore writes without one.
-- enable_seqscan is off for the reason in counts.sql.

CREATE FUNCTION tag_names_of(article bigint) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT name::text COLLATE "C"
        FROM articles_tagging, LATERAL (
            -- OFFSET prevents a join, which could read all tags for each article.
            SELECT name FROM articles_tag WHERE id = tag_id OFFSET 0
        ) AS tag
        WHERE article_id = article
        ORDER BY 1
    );
END $$;

-- Runs with the settings of the trigger functions that call it.
CREATE FUNCTION store_tag_names(articles bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM articles_article WHERE id = ANY (articles) ORDER BY id FOR NO KEY UPDATE;
    UPDATE articles_article SET tag_names = names
        FROM (
            SELECT article, tag_names_of(article) AS names FROM unnest(articles) AS article
            OFFSET 0
        ) AS computed
        WHERE id = article AND tag_names IS DISTINCT FROM names;
END $$;

CREATE FUNCTION store_names_of_taggings() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    tags bigint[];
    articles bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        tags := ARRAY(SELECT tag_id FROM new_rows);
        articles := ARRAY(SELECT DISTINCT article_id FROM new_rows);
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
    END IF;
    IF articles <> '{}' THEN -- most updates change only the copies of the article's columns
        PERFORM FROM articles_tag WHERE id = ANY (tags) ORDER BY id FOR KEY SHARE;
        PERFORM store_tag_names(articles);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER tag_names_insert AFTER INSERT ON articles_tagging
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION store_names_of_taggings();
CREATE TRIGGER tag_names_delete AFTER DELETE ON articles_tagging
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION store_names_of_taggings();
CREATE TRIGGER tag_names_update AFTER UPDATE ON articles_tagging
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION store_names_of_taggings();

CREATE FUNCTION delete_tag_names() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE articles_article SET tag_names = '{}' WHERE tag_names <> '{}';
    RETURN NULL;
END $$;

CREATE TRIGGER tag_names_truncate AFTER TRUNCATE ON articles_tagging
    FOR EACH STATEMENT EXECUTE FUNCTION delete_tag_names();

CREATE FUNCTION store_changed_names() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM store_tag_names(ARRAY(
        SELECT DISTINCT article_id FROM articles_tagging WHERE tag_id = ANY (ARRAY(
            SELECT id FROM old_rows FULL JOIN new_rows USING (id)
            WHERE old_rows.name IS DISTINCT FROM new_rows.name
        ))
    ));
    RETURN NULL;
END $$;

CREATE TRIGGER tag_names_update AFTER UPDATE ON articles_tag
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION store_changed_names();

-- The cascade would lock the taggings before the articles.
CREATE FUNCTION lock_articles_of_tag() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM articles_article
        WHERE id = ANY (ARRAY(SELECT article_id FROM articles_tagging WHERE tag_id = OLD.id))
        ORDER BY id FOR NO KEY UPDATE;
    RETURN OLD;
END $$;

CREATE TRIGGER lock_articles_of_tag BEFORE DELETE ON articles_tag FOR EACH ROW
    EXECUTE FUNCTION lock_articles_of_tag();

-- Replaces a written value, for example that of an Article object that was loaded some time ago.
-- The triggers above write only exact values.
CREATE FUNCTION correct_tag_names() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    NEW.tag_names := tag_names_of(NEW.id);
    RETURN NEW;
END $$;

CREATE TRIGGER correct_tag_names BEFORE UPDATE OF tag_names ON articles_article FOR EACH ROW
    WHEN (pg_trigger_depth() = 0 AND NEW.tag_names IS DISTINCT FROM OLD.tag_names)
    EXECUTE FUNCTION correct_tag_names();

-- A new article may already have the names of the taggings that the same transaction inserts later.
-- Then the trigger of the taggings does not update the article. At COMMIT the taggings must exist.
CREATE FUNCTION correct_first_tag_names() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    PERFORM store_tag_names(ARRAY[NEW.id]);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER correct_first_tag_names AFTER INSERT ON articles_article
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.tag_names <> '{}')
    EXECUTE FUNCTION correct_first_tag_names();

-- As in hidden_counts.sql, but with the lock that store_tag_names() takes later. With a weaker lock,
-- a transaction that hides the article could lock it in between, and both would deadlock.
CREATE OR REPLACE FUNCTION copy_to_tagging() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
DECLARE
    article record;
BEGIN
    SELECT created_at, author_id, hidden_at INTO article
        FROM articles_article WHERE id = NEW.article_id FOR NO KEY UPDATE;
    IF FOUND THEN
        NEW.article_created_at := article.created_at;
        NEW.article_author_id := article.author_id;
        NEW.article_hidden := article.hidden_at IS NOT NULL;
    END IF;
    RETURN NEW;
END $$;

-- As in hidden_counts.sql, but it leaves the taggings to the cascade: a trigger that runs before
-- the deletion of an article must not update the article. Taggings have a copy of the mark, so they
-- are counted correctly after the deletion too.
CREATE OR REPLACE FUNCTION delete_below_hidden_article() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT is_visible_article(OLD.id) THEN
        DELETE FROM articles_favorite WHERE article_id = OLD.id;
    END IF;
    RETURN OLD;
END $$;
