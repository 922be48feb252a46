"""A site with a million articles, for tests of plans: many rows with short texts."""

from typing import LiteralString

# Triggers are off, so the statements write the copied columns and the counts themselves. In one
# transaction with TRUNCATE and with `wal_level` minimal, the tables are written without WAL.
MILLION: LiteralString = """
SET session_replication_role = replica;
SET work_mem = '256MB';
BEGIN;
TRUNCATE users_user, articles_tag, articles_tally CASCADE;
TRUNCATE articles_articletext, articles_commenttext;
DROP INDEX words_of_articles;
DROP INDEX words_of_comments;
INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
                        username_folded, is_active, is_staff, created_at)
    SELECT n, '', false, 'e' || n, 'e' || n, 'user' || n, 'user' || n, true, false, now()
    FROM generate_series(1, 50000) AS n;
INSERT INTO articles_tag (id, name) SELECT n, 'tag' || n FROM generate_series(1, 10007) AS n;
INSERT INTO articles_article
        (id, author_id, created_at, updated_at, slug, title, description, body, tag_names)
    SELECT n, 1 + n % 50000, '2001-02-03'::timestamptz + n * interval '1 minute', now(),
           'slug-' || n, 'A title', 'A description', 'A text',
           ARRAY['tag' || 1 + n % 10000, 'tag' || 10001 + n % 7]
    FROM generate_series(1, 1000000) AS n;
INSERT INTO articles_tagging (article_id, tag_id, article_created_at, article_author_id)
    SELECT id, tag, created_at, author_id
    FROM articles_article, LATERAL (VALUES (1 + id % 10000), (10001 + id % 7)) AS tags (tag);
INSERT INTO articles_favorite
        (user_id, article_id, created_at, article_created_at, article_author_id)
    SELECT 1 + id * 7 % 50000, id, now(), created_at, author_id FROM articles_article;
INSERT INTO profiles_follow (follower_id, followed_id, created_at)
    SELECT n, 1 + (n + k * k * 11) % 50000, now()
    FROM generate_series(1, 50000) AS n, generate_series(1, 4) AS k;
INSERT INTO articles_comment (article_id, author_id, created_at, updated_at, body)
    SELECT CASE WHEN n % 5 = 0 THEN 7 ELSE 1 + n / 3 END, 1 + n % 50000,
           '2001-02-03'::timestamptz + n * interval '2 minute', now(), 'A comment'
    FROM generate_series(1, 500000) AS n;
INSERT INTO articles_articletext
    SELECT id, CASE
            WHEN id < 20000 THEN 'common early text title ~ti ~tit ~titl ~title'::tsvector
            WHEN id % 2 = 0 THEN 'common text title ~ti ~tit ~titl ~title'::tsvector
            ELSE 'other text title ~ti ~tit ~titl ~title'::tsvector
        END || array_to_tsvector(ARRAY['#' || (id >> 15)])
    FROM articles_article;
INSERT INTO articles_commenttext
    SELECT id, CASE
            WHEN id < 20000 THEN 'common early text'::tsvector
            WHEN id % 2 = 0 THEN 'common text'::tsvector
            ELSE 'other text'::tsvector
        END || array_to_tsvector(ARRAY['#' || (id >> 15)])
    FROM articles_comment;
CREATE INDEX words_of_articles ON articles_articletext USING gin (words)
    WITH (fastupdate = on, gin_pending_list_limit = 1024);
CREATE INDEX words_of_comments ON articles_commenttext USING gin (words)
    WITH (fastupdate = on, gin_pending_list_limit = 1024);
INSERT INTO articles_oldslug (slug, article_id)
    SELECT 'old-slug-' || n, n FROM generate_series(1, 100000) AS n;
INSERT INTO articles_tally (counted, key, count)
    SELECT 1, 0, count(*) FROM articles_article
    UNION ALL SELECT 2, tag_id, count(*) FROM articles_tagging GROUP BY tag_id
    UNION ALL SELECT 3, author_id, count(*) FROM articles_article GROUP BY author_id
    UNION ALL SELECT 4, id, 1 FROM articles_article
    UNION ALL SELECT 5, user_id, count(*) FROM articles_favorite GROUP BY user_id;
COMMIT;
VACUUM (ANALYZE)
"""
