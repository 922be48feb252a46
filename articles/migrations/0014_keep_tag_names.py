"""Triggers keep the tag names of articles, so that the admin, cascades, COPY and plain SQL do too.

Writers wait until the names of the existing articles are stored; readers do not.
"""

from pathlib import Path

from django.db import migrations

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

TABLES = ("articles_article", "articles_tag", "articles_tagging")
TAG_NAMES = (Path(__file__).with_name("sql") / "tag_names.sql").read_text()

# Without the triggers of articles, which would look for changes of counts in a copy of each row.
# Names may be stored already, if this migration was reversed.
FILL = """
ALTER TABLE articles_article DISABLE TRIGGER USER;
UPDATE articles_article SET tag_names = coalesce(names, '{}')
FROM articles_article AS article LEFT JOIN (
    SELECT article_id, array_agg(name::text ORDER BY name COLLATE "C") AS names
    FROM articles_tagging JOIN articles_tag ON articles_tag.id = tag_id GROUP BY article_id
) AS tagged ON article_id = article.id
WHERE articles_article.id = article.id
    AND articles_article.tag_names IS DISTINCT FROM coalesce(names, '{}');
ALTER TABLE articles_article ENABLE TRIGGER USER;
"""
DROP = """
CREATE OR REPLACE FUNCTION copy_to_tagging() RETURNS trigger LANGUAGE plpgsql
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
CREATE OR REPLACE FUNCTION delete_below_hidden_article() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT is_visible_article(OLD.id) THEN
        DELETE FROM articles_tagging WHERE article_id = OLD.id;
        DELETE FROM articles_favorite WHERE article_id = OLD.id;
    END IF;
    RETURN OLD;
END $$;
DROP FUNCTION store_names_of_taggings(), delete_tag_names(), store_changed_names(),
    lock_articles_of_tag(), correct_tag_names(), correct_first_tag_names() CASCADE;
DROP FUNCTION store_tag_names(bigint[]), tag_names_of(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("articles", "0013_tag_names")]

    operations = [
        lock(*TABLES, forwards=SHARE_ROW_EXCLUSIVE),
        migrations.RunSQL([FILL, TAG_NAMES], DROP),
        lock(*TABLES, backwards=ACCESS_EXCLUSIVE),
    ]
