"""The view of the tags that have articles."""

from pathlib import Path

from django.db import migrations

VIEW = (Path(__file__).with_name("sql") / "used_tags.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("articles", "0022_tag_merges")]

    operations = [migrations.RunSQL(VIEW, "DROP VIEW articles_usedtag")]
