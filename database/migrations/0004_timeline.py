"""Add the table of the timelines, for reads on standbys."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("database", "0003_view_pool")]

    operations = [
        migrations.CreateModel(
            name="Timeline",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("system_identifier", models.BigIntegerField()),
                ("number", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["system_identifier", "number"], name="timeline_once"
                    )
                ],
            },
        ),
    ]
