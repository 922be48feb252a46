"""The permissions to hide articles and comments, and to merge tags."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("articles", "0016_foreign_keys_at_each_statement"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="article",
            options={"permissions": [("hide_article", "Can hide and restore articles")]},
        ),
        migrations.AlterModelOptions(
            name="comment",
            options={"permissions": [("hide_comment", "Can hide and restore comments")]},
        ),
        migrations.AlterModelOptions(
            name="tag",
            options={"permissions": [("merge_tag", "Can merge and rename tags")]},
        ),
    ]
