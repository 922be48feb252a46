"""The database fills in the copies that taggings and favorites have, and keeps them: whoever
writes, triggers do.

It is one transaction that nobody writes to the three tables meanwhile: what is there is filled
in, which takes as long as the tables are large, and what comes afterwards finds the triggers.
Readers don't notice.
"""

from django.db import migrations

from database.table_locks import EVERYBODY, WRITERS, lock

ALL = ("articles_article", "articles_tagging", "articles_favorite")

# Before the triggers exist, for they would look up each article by itself.
FILL = """
UPDATE articles_tagging
    SET article_created_at = article.created_at, article_author_id = article.author_id
    FROM articles_article AS article WHERE article.id = articles_tagging.article_id;
UPDATE articles_favorite
    SET article_created_at = article.created_at, article_author_id = article.author_id
    FROM articles_article AS article WHERE article.id = articles_favorite.article_id;
"""

# The lock is the one that the foreign key takes a moment later. Here it makes a writer wait for
# the end of a transaction that changes what is copied, and copy what is true afterwards. There
# may be no article any more: then the foreign key says so, in its own words.
#
# The search path is that of the migration: pg_restore, for one, writes without any.
COPY = """
CREATE FUNCTION copy_from_article() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
DECLARE
    article record;
BEGIN
    SELECT created_at, author_id INTO article
        FROM articles_article WHERE id = NEW.article_id FOR KEY SHARE;
    IF FOUND THEN
        NEW.article_created_at := article.created_at;
        NEW.article_author_id := article.author_id;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER copy_from_article
    BEFORE INSERT OR UPDATE OF article_id, article_created_at, article_author_id
    ON articles_tagging FOR EACH ROW EXECUTE FUNCTION copy_from_article();

CREATE TRIGGER copy_from_article
    BEFORE INSERT OR UPDATE OF article_id, article_created_at, article_author_id
    ON articles_favorite FOR EACH ROW EXECUTE FUNCTION copy_from_article();
"""

DROP_COPY = """
DROP TRIGGER copy_from_article ON articles_favorite;
DROP TRIGGER copy_from_article ON articles_tagging;
DROP FUNCTION copy_from_article();
"""

# An update that leaves the key alone does not wait for those who have read the row FOR KEY
# SHARE. This one must: what they write can't be seen, and so not be changed, before they commit.
CHANGE = """
CREATE FUNCTION wait_for_copies() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM articles_article WHERE id = OLD.id FOR UPDATE;
    RETURN NEW;
END $$;

CREATE FUNCTION change_copies() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE articles_tagging
        SET article_created_at = NEW.created_at, article_author_id = NEW.author_id
        WHERE article_id = NEW.id;
    UPDATE articles_favorite
        SET article_created_at = NEW.created_at, article_author_id = NEW.author_id
        WHERE article_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER wait_for_copies BEFORE UPDATE ON articles_article FOR EACH ROW
    WHEN ((OLD.created_at, OLD.author_id) IS DISTINCT FROM (NEW.created_at, NEW.author_id))
    EXECUTE FUNCTION wait_for_copies();

CREATE TRIGGER change_copies AFTER UPDATE ON articles_article FOR EACH ROW
    WHEN ((OLD.created_at, OLD.author_id) IS DISTINCT FROM (NEW.created_at, NEW.author_id))
    EXECUTE FUNCTION change_copies();
"""

DROP_CHANGE = """
DROP TRIGGER change_copies ON articles_article;
DROP TRIGGER wait_for_copies ON articles_article;
DROP FUNCTION change_copies();
DROP FUNCTION wait_for_copies();
"""


class Migration(migrations.Migration):
    dependencies = [("articles", "0003_favorite_copies")]

    operations = [
        lock(*ALL, forwards=WRITERS),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(COPY, DROP_COPY),
        migrations.RunSQL(CHANGE, DROP_CHANGE),
        lock(*ALL, backwards=EVERYBODY),
    ]
