"""Triggers keep every count, so that the admin, cascades, COPY and plain SQL count too.

Writers of the three tables wait until the existing rows are counted; readers do not.
"""

from pathlib import Path

from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, lock

ALL = ("articles_article", "articles_tagging", "articles_favorite")
COUNTS = (Path(__file__).with_name("sql") / "counts.sql").read_text()

# Half of each page stays free for new versions of its rows: such an update writes to no index.
FILL = """
ALTER TABLE articles_tally SET (fillfactor = 50);
INSERT INTO articles_tally (counted, key, count)
    SELECT 1, 0, count(*) FROM articles_article HAVING count(*) > 0
    UNION ALL
    SELECT 2, tag_id, count(*) FROM articles_tagging GROUP BY tag_id
    UNION ALL
    SELECT 3, author_id, count(*) FROM articles_article GROUP BY author_id
    UNION ALL
    SELECT 4, article_id, count(*) FROM articles_favorite GROUP BY article_id
    UNION ALL
    SELECT 5, user_id, count(*) FROM articles_favorite GROUP BY user_id;
"""
DROP = """
DROP FUNCTION count_articles(), count_taggings(), count_favorites(), count_changed_articles(),
    count_changed_taggings(), count_changed_favorites(), delete_tallies() CASCADE;
DROP FUNCTION change_tallies(articles_tally[]), is_visible_article(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("articles", "0006_drop_articles_of_tag")]

    operations = [
        lock(*ALL, forwards=SHARE_ROW_EXCLUSIVE),
        migrations.CreateModel(
            name="Tally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "counted",
                    models.SmallIntegerField(
                        choices=[
                            (1, "articles"),
                            (2, "articles of a tag"),
                            (3, "articles of an author"),
                            (4, "favorites of an article"),
                            (5, "favorites of a user"),
                        ]
                    ),
                ),
                ("key", models.BigIntegerField()),
                ("count", models.IntegerField()),
            ],
            options={
                "verbose_name_plural": "tallies",
                "indexes": [models.Index(fields=["counted", "key"], name="tally_of_key")],
            },
        ),
        migrations.RunSQL([FILL, COUNTS], [COUNTS, DROP]),
        lock(*ALL, backwards=ACCESS_EXCLUSIVE),
    ]
