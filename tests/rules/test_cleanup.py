"""Which statements change the state of a session, so that the pool must reset or discard it."""

import pytest
from django.contrib.postgres.aggregates import ArrayAgg
from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce, Lower, TruncDay

from articles.models import Article, Tag
from database.backend.cleanup import Cleanup, cleanup_after
from database.backend.connection import Connection
from database.prepared import declared_queries

HARMLESS = [
    "SELECT 1",
    "  select now()",
    # Declared in `articles/search.py`.
    "SELECT newest_matches('articles_articletext', %s, 10)",
    'INSERT INTO "articles_tag" ("name") VALUES (%s) RETURNING "id"',
    'INSERT INTO public."tag" (name) VALUES (%s) ON CONFLICT ("name") DO NOTHING',
    "WITH new AS (INSERT INTO tag (name) VALUES (%s) RETURNING id) SELECT * FROM new",
    'UPDATE "a" SET "b" = COALESCE("b", %s) WHERE "c" IN (SELECT 1)',
    'SAVEPOINT "s1_x1"',
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT 1;",
    "SET LOCAL work_mem = '1MB'",
    "SET CONSTRAINTS ALL IMMEDIATE",
]
HARMFUL = [
    "SELECT newest_matches(pg_advisory_lock(1), %s, 10)",
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET SESSION work_mem = '1MB'",
    "SELECT set_config('work_mem', '1MB', false)",
    "SELECT pg_advisory_lock(1)",
    'SELECT "pg_advisory_lock" (1)',
    "SELECT pg_catalog.pg_advisory_lock\n(1)",
    "SELECT pg_try_advisory_lock_shared(1)",
    "SELECT a_function_of_somebody(1)",
    "CREATE TEMPORARY TABLE t (id int)",
    "SELECT 1 INTO TEMPORARY t",
    "WITH a AS (SELECT 1) SELECT * INTO TEMPORARY t FROM a",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "LISTEN news",
    "DO $$ BEGIN PERFORM set_config('work_mem', '1MB', false); END $$",
    "UPDATE pg_settings SET setting = '1' WHERE name = 'work_mem'",
    "SELECT 1; SET work_mem = '1MB'",
    "SELECT pg_advisory_lock/**/(1)",
    "SELECT pg_advisory_lock--\n(1)",
    "",
]
NOT_RESETTABLE = [
    "PREPARE mine AS SELECT 1",
    "LOAD 'auto_explain'",
    "SELECT 1; PREPARE mine AS SELECT 2",
]


@pytest.mark.parametrize("statement", HARMLESS)
def test_reads_and_writes_change_no_session_state(statement: str) -> None:
    assert cleanup_after(statement) is Cleanup.NONE


@pytest.mark.parametrize("statement", HARMFUL)
def test_state_that_outlives_a_transaction_needs_a_reset(statement: str) -> None:
    assert cleanup_after(statement) is Cleanup.RESET


@pytest.mark.parametrize("statement", NOT_RESETTABLE)
def test_state_that_no_reset_removes_needs_a_new_session(statement: str) -> None:
    assert cleanup_after(statement) is Cleanup.DISCARD


@pytest.mark.parametrize(
    "queryset",
    [
        Tag.objects.annotate(used=Count("articles", distinct=True)).order_by("-used"),
        Article.objects.filter(Q(title__icontains="a") | Q(created_at__year=2026)),
        Article.objects.annotate(day=TruncDay("created_at"), names=ArrayAgg("tags__name")),
        Article.objects.annotate(either=Coalesce(Lower("title"), F("description"))).distinct(),
        Article.objects.filter(pk__in=Article.objects.order_by("-pk")[:3]),
    ],
    ids=["counted", "filtered", "aggregated", "coalesced", "nested"],
)
def test_reads_of_the_orm_change_no_session_state(queryset: "QuerySet[Article]") -> None:
    sql, _ = queryset.query.sql_with_params()

    assert cleanup_after(sql) is Cleanup.NONE


def test_no_declared_query_changes_session_state() -> None:
    texts = [query.compiled(shape).text for query in declared_queries for shape in query.shapes()]

    # A function that is new to `hygiene.py` would cost each request a reset.
    assert [text for text in texts if cleanup_after(text) is not Cleanup.NONE] == []
    assert texts


@pytest.mark.django_db(transaction=True)
def test_writes_of_the_orm_change_no_session_state() -> None:
    connection.close()  # a new session: the fixtures may have changed the state of this one
    with transaction.atomic():
        Tag.objects.bulk_create([Tag(name="python")], ignore_conflicts=True)
        with transaction.atomic():
            Tag.objects.filter(name="python").update(name="python3")
        Tag.objects.select_for_update().get(name="python3").delete()

    session = connection.connection
    assert isinstance(session, Connection)
    assert session.cleanup is Cleanup.NONE
