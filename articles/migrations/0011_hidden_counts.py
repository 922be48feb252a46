"""Hidden articles are in no list and in no count.

Writers wait until the new indexes are built; readers do not.
"""

from pathlib import Path

from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

TABLES = (
    "users_user",
    "articles_article",
    "articles_tagging",
    "articles_favorite",
    "articles_comment",
)
SQL = Path(__file__).with_name("sql")
COUNTS = (SQL / "counts.sql").read_text()
HIDDEN_COUNTS = (SQL / "hidden_counts.sql").read_text()

# Shows everything that was hidden: the previous version cannot hide rows. It runs first, so that
# the triggers of this version count the rows.
SHOW = """
UPDATE users_user SET hidden_at = NULL WHERE hidden_at IS NOT NULL;
UPDATE articles_article SET hidden_at = NULL WHERE hidden_at IS NOT NULL;
"""
DROP = """
CREATE OR REPLACE TRIGGER copy_from_article
    BEFORE INSERT OR UPDATE OF article_id, article_created_at, article_author_id
    ON articles_tagging FOR EACH ROW EXECUTE FUNCTION copy_from_article();
DROP TRIGGER wait_for_mark ON articles_article;
DROP FUNCTION delete_below_hidden_article(), delete_below_user(), copy_to_tagging(),
    users_user_tally_hide(), lock_user_with_articles() CASCADE;
-- A database has either the first or the other two.
DROP FUNCTION IF EXISTS count_below_articles(bigint[], integer),
    hidden_articles_among(bigint[]), hidden_users_among(bigint[]);
"""


class Migration(migrations.Migration):
    dependencies = [("articles", "0010_hidden"), ("users", "0004_hidden")]

    operations = [
        lock(*TABLES, forwards=SHARE_ROW_EXCLUSIVE),
        migrations.RunSQL([COUNTS, HIDDEN_COUNTS], [SHOW, DROP, COUNTS]),
        migrations.AddIndex(
            "article",
            models.Index(
                condition=models.Q(("hidden_at", None)),
                fields=["-created_at", "-id"],
                include=["author"],
                name="newest_visible_articles",
            ),
        ),
        migrations.AddIndex(
            "article",
            models.Index(
                fields=["author", "-created_at", "-id"],
                include=["hidden_at"],
                name="newest_of_author",
            ),
        ),
        migrations.AddIndex(
            "tagging",
            models.Index(
                fields=["tag", "-article_created_at", "-article"],
                include=["article_author", "article_hidden"],
                name="newest_of_tag",
            ),
        ),
        migrations.AddIndex(
            "tagging",
            models.Index(
                fields=["tag", "article_author", "-article_created_at", "-article"],
                include=["article_hidden"],
                name="newest_of_tag_by_author",
            ),
        ),
        migrations.AddIndex(
            "comment",
            models.Index(
                fields=["article", "-created_at", "-id"],
                include=["author", "hidden_at"],
                name="newest_comments_of_article",
            ),
        ),
        lock(*TABLES, backwards=ACCESS_EXCLUSIVE),
    ]
