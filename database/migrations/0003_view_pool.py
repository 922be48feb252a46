"""Add the permission to see the page about the pool. The table does not change."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("database", "0002_droppable_answers")]

    operations = [
        migrations.AlterModelOptions(
            "idempotencykey",
            options={"permissions": [("view_pool", "Can see the database page")]},
        ),
    ]
