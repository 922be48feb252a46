"""Triggers keep the old slugs of articles, so that the admin, the API and plain SQL do the same.

Writers of articles wait for a moment. The table starts empty: earlier slugs are unknown.
"""

import django.db.models.deletion
from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

# AFTER, not BEFORE: if another transaction is changing an article that has this slug, the INSERT
# waits for it in the unique index. An AFTER trigger runs after that wait, and at READ COMMITTED it
# sees the old slug that the other transaction committed.
#
# ON CONFLICT, so that a row inserted by hand does not block a change of the title.
KEEP = """
CREATE FUNCTION keep_old_slugs() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM articles_oldslug WHERE slug = NEW.slug AND article_id = NEW.id;
    END IF;
    IF EXISTS (SELECT FROM articles_oldslug WHERE slug = NEW.slug) THEN
        RAISE unique_violation USING
            MESSAGE = format('%L is an old slug of another article.', NEW.slug),
            TABLE = 'articles_oldslug', CONSTRAINT = 'old_slug_once';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO articles_oldslug (slug, article_id) VALUES (OLD.slug, NEW.id)
            ON CONFLICT (slug) DO UPDATE SET article_id = EXCLUDED.article_id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER first_slug AFTER INSERT ON articles_article FOR EACH ROW
    EXECUTE FUNCTION keep_old_slugs();

CREATE TRIGGER new_slug AFTER UPDATE OF slug ON articles_article FOR EACH ROW
    WHEN (OLD.slug IS DISTINCT FROM NEW.slug) EXECUTE FUNCTION keep_old_slugs();
"""

DROP_KEEP = """
DROP TRIGGER new_slug ON articles_article;
DROP TRIGGER first_slug ON articles_article;
DROP FUNCTION keep_old_slugs();
"""


class Migration(migrations.Migration):
    dependencies = [("articles", "0007_counts")]

    operations = [
        lock("articles_article", forwards=SHARE_ROW_EXCLUSIVE),
        migrations.CreateModel(
            name="OldSlug",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("slug", models.SlugField(db_index=False, max_length=255)),
                (
                    "article",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="old_slugs",
                        to="articles.article",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["article"], name="old_slugs_of_article")],
                "constraints": [models.UniqueConstraint(fields=("slug",), name="old_slug_once")],
            },
        ),
        migrations.RunSQL(KEEP, DROP_KEEP),
        lock("articles_article", backwards=ACCESS_EXCLUSIVE),
    ]
