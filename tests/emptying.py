"""Deletes all rows after a test with real transactions."""

from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.test import TransactionTestCase

# Bytes of the largest table. Deleted rows stay in the files of a table until VACUUM, and plans of
# later tests must not depend on them.
DELETED_AT_MOST = 500_000

LARGEST = "SELECT max(pg_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND oid >= 16384"

KEPT = {Permission._meta.db_table, ContentType._meta.db_table, "django_migrations"}

truncate = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]


def delete_rows(test: Any) -> None:
    """Do as Django's teardown does, in a seventh of its time for tables with few rows.

    Django truncates all tables, which creates new files for each table and index, and then creates
    the content types and permissions again; here these rows stay. Only a superuser can delete rows
    without triggers and in any order; for other roles and for large tables, Django truncates.
    """
    (name,) = test._databases_names(include_mirrors=False)
    connection = connections[name]
    with connection.cursor() as cursor:
        superuser = connection.connection.info.parameter_status("is_superuser") == "on"
        if not superuser or cursor.execute(LARGEST).fetchone()[0] > DELETED_AT_MOST:
            truncate(test)
            return
        # Not only those of models: the words of texts have tables of their own.
        tables = {*connection.introspection.table_names()} - KEPT
        quoted = [connection.ops.quote_name(table) for table in sorted(tables)]
        statements = [
            "SET LOCAL session_replication_role = replica",  # no trigger and no foreign key
            f"LOCK TABLE {', '.join(quoted)} IN EXCLUSIVE MODE",  # waits for writers, as TRUNCATE
            *(f"DELETE FROM {table}" for table in quoted),  # noqa: S608 -- names of our tables
        ]
        with transaction.atomic(using=name):
            cursor.execute("; ".join(statements))
