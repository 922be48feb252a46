"""Triggers keep the columns that taggings and favorites copy from their article.

Writers of the three tables wait until the existing rows are filled in; readers do not. The time is
proportional to the size of the tables.
"""

from django.db import migrations

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

ALL = ("articles_article", "articles_tagging", "articles_favorite")

# Runs before the triggers exist: they would look up the article of each row.
FILL = """
UPDATE articles_tagging
    SET article_created_at = article.created_at, article_author_id = article.author_id
    FROM articles_article AS article WHERE article.id = articles_tagging.article_id;
UPDATE articles_favorite
    SET article_created_at = article.created_at, article_author_id = article.author_id
    FROM articles_article AS article WHERE article.id = articles_favorite.article_id;
"""

# FOR KEY SHARE, the lock that the foreign key takes later: a writer waits for a transaction that
# changes the article, and then copies the committed values. Without an article, the foreign key
# refuses the row.
#
# The functions keep the search path of the migration, because pg_restore writes without one.
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

# An update that changes no key does not wait for FOR KEY SHARE locks. This one must wait for the
# writers that hold them: their new rows are invisible until they commit, and would keep old copies.
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
        lock(*ALL, forwards=SHARE_ROW_EXCLUSIVE),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(COPY, DROP_COPY),
        migrations.RunSQL(CHANGE, DROP_CHANGE),
        lock(*ALL, backwards=ACCESS_EXCLUSIVE),
    ]
