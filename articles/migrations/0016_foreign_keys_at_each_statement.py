"""Each statement that writes articles, taggings or favorites checks their foreign keys itself.

Triggers copy columns and names from the row that a foreign key refers to, and read whether it is
hidden. Django's foreign keys are checked at the COMMIT. Before it, a transaction could insert a
tagging and then its tag, or exchange the ids of two articles: the copies and counts stayed wrong.
A transaction that needs such an order can still run SET CONSTRAINTS ALL DEFERRED; then
`manage.py verify_counts --repair` corrects what the triggers did not see.

Only catalogs change: no row is read. The lock blocks readers, but only for an instant.
"""

from django.db import migrations

from database.table_locks import ACCESS_EXCLUSIVE, lock

TABLES = ("articles_article", "articles_tagging", "articles_favorite")

# Django made the names of the constraints.
ALTER = """
DO $$
DECLARE
    relation regclass;
    name name;
BEGIN
    FOR relation, name IN
        SELECT conrelid::regclass, conname FROM pg_constraint
        WHERE contype = 'f' AND conrelid IN ({tables})
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE {when}', relation, name);
    END LOOP;
END $$;
"""


def alter(when: str) -> str:
    tables = ", ".join(f"'{table}'::regclass" for table in TABLES)
    return ALTER.format(tables=tables, when=when)


class Migration(migrations.Migration):
    dependencies = [("articles", "0015_few_rows")]

    operations = [
        lock(*TABLES, forwards=ACCESS_EXCLUSIVE),
        migrations.RunSQL(alter("INITIALLY IMMEDIATE"), alter("INITIALLY DEFERRED")),
        lock(*TABLES, backwards=ACCESS_EXCLUSIVE),
    ]
