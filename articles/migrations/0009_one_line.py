"""Titles and tags are one line, and comments show something, in forms too. No SQL is executed."""

import articles.texts
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("articles", "0008_old_slugs"),
    ]

    operations = [
        migrations.AlterField(
            model_name="article",
            name="title",
            field=models.CharField(max_length=255, validators=[articles.texts.one_line]),
        ),
        migrations.AlterField(
            model_name="comment",
            name="body",
            field=models.TextField(max_length=10000, validators=[articles.texts.visible]),
        ),
        migrations.AlterField(
            model_name="tag",
            name="name",
            field=models.CharField(max_length=64, validators=[articles.texts.one_line]),
        ),
    ]
