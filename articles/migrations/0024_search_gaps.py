"""A search skips ranges of ids without rows. Nobody waits."""

from pathlib import Path

from django.db import migrations

SEARCH = (Path(__file__).with_name("sql") / "search_gaps.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("articles", "0023_tag_merges_without_constraints")]

    # The function before this migration returned the same rows, so it is not restored.
    operations = [migrations.RunSQL(SEARCH, migrations.RunSQL.noop)]
