"""Indexes for the lists of articles and comments in the admin. Readers and writers do not wait."""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

from database.indexes import AddIndex

NEWEST = ["-created_at", "-id"]
IN_ADMIN = models.Q(("id__gt", -4611686018427387904))
HIDDEN = models.Q(("hidden_at__isnull", False))


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("articles", "0020_fill_search")]

    operations = [
        AddIndex(
            "article", models.Index(fields=NEWEST, name="newest_articles", condition=IN_ADMIN)
        ),
        AddIndex(
            "article", models.Index(fields=NEWEST, name="newest_hidden_articles", condition=HIDDEN)
        ),
        AddIndex(
            "comment", models.Index(fields=NEWEST, name="newest_comments", condition=IN_ADMIN)
        ),
        AddIndex(
            "comment", models.Index(fields=NEWEST, name="newest_hidden_comments", condition=HIDDEN)
        ),
        AddIndex(
            "comment", models.Index(fields=["author", *NEWEST], name="newest_comments_of_author")
        ),
        RemoveIndexConcurrently("comment", "comments_of_author"),
    ]
