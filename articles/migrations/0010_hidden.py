"""Articles and comments can be hidden. A separate, short transaction adds the columns, because it
blocks readers."""

from django.db import migrations, models

from database.table_locks import ACCESS_EXCLUSIVE, lock

TABLES = ("articles_article", "articles_comment", "articles_tagging")


class Migration(migrations.Migration):
    dependencies = [("articles", "0009_one_line")]

    operations = [
        lock(*TABLES, forwards=ACCESS_EXCLUSIVE),
        *(
            migrations.AddField(
                model,
                "hidden_at",
                models.DateTimeField(blank=True, editable=False, null=True),
            )
            for model in ("article", "comment")
        ),
        migrations.AddField(
            "tagging", "article_hidden", models.BooleanField(db_default=False, editable=False)
        ),
        lock(*TABLES, backwards=ACCESS_EXCLUSIVE),
    ]
