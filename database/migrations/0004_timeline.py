"""Add the table of the timelines, for reads on standbys."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("database", "0003_view_pool")]

    operations = [
        migrations.CreateModel(
            name="Timeline",
            fields=[("id", models.BigIntegerField(primary_key=True, serialize=False))],
        ),
    ]
