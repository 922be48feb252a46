-- Full-text search: articles_articletext and articles_commenttext have the words of each article
-- and comment. Their `id` is that of the article or comment. The triggers keep them.
--
-- Not a column of articles: a new column would rewrite the table under a lock, and the words would
-- make the rows that every page reads larger.
--
-- Any text can be saved. The words of the first 10,000 characters are indexed, which is less than
-- the limit of a tsvector (1 MiB). PostgreSQL leaves out a word of more than 2,046 bytes.
--
-- ASCII punctuation becomes spaces before PostgreSQL splits the text into words. Without that, its
-- parser recognizes URLs, tags and file names, which takes time quadratic in the length of the text
-- for some texts: 3.6 s for 20,000 characters of `a_a_a_`. Characters of scripts without spaces
-- (Chinese, Japanese, Korean) are words of their own.
--
-- The configuration is `simple`, because articles are in any language. It neither removes endings
-- nor leaves out frequent words. There are no positions and weights, which would make the rows
-- twice as large: pages show the newest matches first, so no rank is computed.
--
-- Two kinds of entries are no words. No word equals them, because words have no punctuation.
--
--   #12    the row belongs to block 12: the 32,768 ids from 12 * 32,768 on
--   ~dra   a word of the title starts with `dra`
--
-- The functions that write keep the search path of the migration, because pg_restore writes
-- without one. enable_seqscan is off for the reason in counts.sql.

CREATE FUNCTION split_words(text text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    text := regexp_replace(text, '[][!"#$%&''()*+,./:;<=>?@\\^_`{|}~-]+', ' ', 'g');
    IF octet_length(text) > length(text) THEN
        text := regexp_replace(text, '([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff])', ' \1 ', 'g');
    END IF;
    RETURN strip(to_tsvector('pg_catalog.simple', text));
END $$;

CREATE FUNCTION article_words(id bigint, title text, description text, body text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path FROM CURRENT AS $$
BEGIN
    RETURN split_words(left(concat_ws(' ', title, description, body), 10000))
        || array_to_tsvector(ARRAY(
            SELECT '~' || left(word, size)
            FROM unnest(tsvector_to_array(split_words(title))) AS word,
                generate_series(2, least(length(word), 16)) AS size
        ))
        || array_to_tsvector(ARRAY['#' || (id >> 15)]);
END $$;

CREATE FUNCTION comment_words(id bigint, body text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path FROM CURRENT AS $$
BEGIN
    RETURN split_words(left(body, 10000)) || array_to_tsvector(ARRAY['#' || (id >> 15)]);
END $$;

CREATE TABLE articles_articletext (id bigint PRIMARY KEY, words tsvector NOT NULL);
CREATE TABLE articles_commenttext (id bigint PRIMARY KEY, words tsvector NOT NULL);

CREATE FUNCTION store_article_text() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO articles_articletext
            SELECT id, article_words(id, title, description, body) FROM new_rows
            ON CONFLICT (id) DO UPDATE SET words = EXCLUDED.words;
    ELSIF TG_OP = 'UPDATE' THEN
        DELETE FROM articles_articletext WHERE id = OLD.id AND id <> NEW.id;
        INSERT INTO articles_articletext
            VALUES (NEW.id, article_words(NEW.id, NEW.title, NEW.description, NEW.body))
            ON CONFLICT (id) DO UPDATE SET words = EXCLUDED.words;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM articles_articletext WHERE id = ANY (ARRAY(SELECT id FROM old_rows));
    ELSE
        DELETE FROM articles_articletext;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER text_insert AFTER INSERT ON articles_article
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION store_article_text();
-- For each row: a statement trigger runs for every update, also for those of other columns.
CREATE TRIGGER text_update AFTER UPDATE OF id, title, description, body ON articles_article
    FOR EACH ROW WHEN (
        (OLD.id, OLD.title, OLD.description, OLD.body)
        IS DISTINCT FROM (NEW.id, NEW.title, NEW.description, NEW.body)
    ) EXECUTE FUNCTION store_article_text();
CREATE TRIGGER text_delete AFTER DELETE ON articles_article
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION store_article_text();
CREATE TRIGGER text_truncate AFTER TRUNCATE ON articles_article
    FOR EACH STATEMENT EXECUTE FUNCTION store_article_text();

CREATE FUNCTION store_comment_text() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO articles_commenttext SELECT id, comment_words(id, body) FROM new_rows
            ON CONFLICT (id) DO UPDATE SET words = EXCLUDED.words;
    ELSIF TG_OP = 'UPDATE' THEN
        DELETE FROM articles_commenttext WHERE id = OLD.id AND id <> NEW.id;
        INSERT INTO articles_commenttext VALUES (NEW.id, comment_words(NEW.id, NEW.body))
            ON CONFLICT (id) DO UPDATE SET words = EXCLUDED.words;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM articles_commenttext WHERE id = ANY (ARRAY(SELECT id FROM old_rows));
    ELSE
        DELETE FROM articles_commenttext;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER text_insert AFTER INSERT ON articles_comment
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION store_comment_text();
CREATE TRIGGER text_update AFTER UPDATE OF id, body ON articles_comment
    FOR EACH ROW WHEN ((OLD.id, OLD.body) IS DISTINCT FROM (NEW.id, NEW.body))
    EXECUTE FUNCTION store_comment_text();
CREATE TRIGGER text_delete AFTER DELETE ON articles_comment
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION store_comment_text();
CREATE TRIGGER text_truncate AFTER TRUNCATE ON articles_comment
    FOR EACH STATEMENT EXECUTE FUNCTION store_comment_text();

-- A query for the rows that have each word of the text. With `prefixes`, a word may also be the
-- start of a word of the title. Empty if the text has no word. Only the first 200 characters of the
-- text are used.
CREATE FUNCTION search_query(text text, prefixes boolean) RETURNS tsquery
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path FROM CURRENT AS $$
DECLARE
    template text := CASE WHEN prefixes THEN '(''%1$s'' | ''~%1$s'')' ELSE '''%1$s''' END;
BEGIN
    RETURN coalesce((
        SELECT string_agg(format(template, word), ' & ')
        FROM unnest(tsvector_to_array(split_words(left(text, 200)))) AS word
    ), '')::tsquery;
END $$;

-- The ids of the newest matches, at most `enough`. `texts` is one of the two tables.
--
-- A GIN index has no order, and to sort half a million matches takes a second. So the index is asked
-- for one block of ids at a time, the newest first, until there are enough matches. Rows with newer
-- ids are taken for newer.
--
-- `id + 0`, so that PostgreSQL cannot read the primary key in its order, row by row, and look for
-- the words in each.
CREATE FUNCTION newest_matches(texts regclass, text text, enough bigint) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE ROWS 1000
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    words tsquery := search_query(text, texts = 'articles_articletext'::regclass);
    block bigint;
    found bigint;
BEGIN
    IF numnode(words) = 0 THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT max(id) >> 15 FROM %s', texts) INTO block;
    WHILE block >= 0 AND enough > 0 LOOP -- NULL after the last block
        RETURN QUERY EXECUTE
            format('SELECT id FROM %s WHERE words @@ $1 ORDER BY id + 0 DESC LIMIT $2', texts)
            USING words && ('#' || block)::tsquery, enough;
        GET DIAGNOSTICS found = ROW_COUNT;
        enough := enough - found;
        -- Blocks without rows are skipped: a row with an id far above all others would otherwise
        -- make each search ask for millions of empty blocks.
        EXECUTE format('SELECT max(id) >> 15 FROM %s WHERE id < $1', texts)
            INTO block USING block << 15;
    END LOOP;
END $$;
