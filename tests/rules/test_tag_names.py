"""The stored tag names of an article are equal to its tags, for every way to write."""

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from psycopg.errors import UniqueViolation

from articles.demo.tables import copy
from articles.models import Article, Tag, Tagging
from database.errors import is_foreign_key_violation
from tests.builders import make_user, write_article
from tests.client import ApiClient
from tests.database.servers import migrate, migrated, wait_until
from tests.processes import database_url, run_forked
from tests.races import wait_for_blocked_connection
from users import deletion
from users.models import User

Api = Callable[..., ApiClient]


def stored_names() -> dict[int, list[str]]:
    return dict(Article.objects.order_by("pk").values_list("pk", "tag_names"))


def actual_names() -> dict[int, list[str]]:
    """The names computed from the tables, in another way than the triggers compute them."""
    names = defaultdict(list)
    for tagging in Tagging.objects.select_related("tag"):
        names[tagging.article_id].append(tagging.tag.name)
    return {pk: sorted(names[pk]) for pk in Article.objects.values_list("pk", flat=True)}


def assert_exact(what: object = None) -> None:
    assert stored_names() == actual_names(), what


def names_of(article: Article) -> list[str]:
    return list(Article.objects.values_list("tag_names", flat=True).get(pk=article.pk))


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def scene(alice: User, bob: User) -> Article:
    """Alice and Bob wrote two articles each. Three have a tag in common."""
    first = write_article(alice, tags=("common", "alice", "first"))
    write_article(alice, tags=("common", "alice"))
    write_article(bob, tags=("common", "bob"))
    write_article(bob)
    return first


def test_an_article_has_the_names_of_its_tags(scene: Article) -> None:
    assert names_of(scene) == ["alice", "common", "first"]
    assert_exact()


def test_an_article_without_tags_has_no_names(alice: User) -> None:
    assert names_of(write_article(alice)) == []


def test_the_names_are_sorted_by_code_point(alice: User) -> None:
    names = ("é", "z", "a", "Z", "😀", "\uffff", "ä", "10", "9")

    assert names_of(write_article(alice, tags=names)) == sorted(names)
    assert sorted(names)[:5] == ["10", "9", "Z", "a", "z"]


SUBQUERIES = {
    "first": "(SELECT min(id) FROM articles_article)",
    "last": "(SELECT max(id) FROM articles_article)",
    "alice": "(SELECT id FROM articles_tag WHERE name = 'alice')",
    "bob": "(SELECT id FROM articles_tag WHERE name = 'bob')",
    "common": "(SELECT id FROM articles_tag WHERE name = 'common')",
    "texts": "'d', 'b', now(), now()",
    "columns": "author_id, slug, title, description, body, created_at, updated_at",
    "author": "(SELECT min(id) FROM users_user)",
}
STATEMENTS: list[LiteralString] = [
    "INSERT INTO articles_tagging (article_id, tag_id) VALUES ({last}, {alice})",
    "INSERT INTO articles_tagging (article_id, tag_id) SELECT {last}, id FROM articles_tag",
    "INSERT INTO articles_tagging (article_id, tag_id)"
    " SELECT article.id, tag.id FROM articles_article AS article, articles_tag AS tag"
    " ON CONFLICT DO NOTHING",
    "INSERT INTO articles_tagging (article_id, tag_id)"
    " SELECT article.id, {common} FROM articles_article AS article"
    " ON CONFLICT (article_id, tag_id) DO UPDATE SET tag_id = {bob}"
    " WHERE articles_tagging.article_id = {first}",
    "MERGE INTO articles_tagging USING articles_tag AS tag"
    " ON tag_id = tag.id AND article_id = {first}"
    " WHEN MATCHED THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT (article_id, tag_id) VALUES ({first}, tag.id)",
    "WITH moved AS (DELETE FROM articles_tagging WHERE article_id = {first} RETURNING *)"
    " INSERT INTO articles_tagging (article_id, tag_id)"
    " SELECT {last}, tag_id FROM moved ON CONFLICT DO NOTHING",
    "UPDATE articles_tagging SET tag_id = {bob} WHERE tag_id = {alice}",
    "UPDATE articles_tagging SET article_id = {last} WHERE article_id = {first}",
    "UPDATE articles_tagging SET article_id = {last}, tag_id = {bob} WHERE tag_id = {alice}"
    " AND article_id = {first}",
    "UPDATE articles_tagging SET id = -id",
    "UPDATE articles_tagging SET article_hidden = true, article_author_id = 0",
    "DELETE FROM articles_tagging",
    "DELETE FROM articles_tagging WHERE tag_id = {common}",
    "TRUNCATE articles_tagging",
    "TRUNCATE articles_tag CASCADE",
    "TRUNCATE users_user CASCADE",
    "UPDATE articles_tag SET name = name || '!'",
    "UPDATE articles_tag SET name = 'Z' WHERE name = 'common'",
    "UPDATE articles_tag SET name = name",
    "DELETE FROM articles_tag",
    "DELETE FROM articles_tag WHERE name = 'common'",
    "DELETE FROM articles_tag WHERE name IN ('common', 'alice')",
    "DELETE FROM articles_article WHERE id = {first}",
    "DELETE FROM users_user WHERE username = 'alice'",
    "UPDATE articles_article SET tag_names = '{{}}'",
    "UPDATE articles_article SET tag_names = NULL",
    "UPDATE articles_article SET tag_names = '{{wrong,NULL}}', title = 'Another'",
    "UPDATE articles_article SET tag_names = '{{alice,common,first}}'",
    "DO $$ BEGIN UPDATE articles_article SET tag_names = '{{wrong}}'; END $$",
    "INSERT INTO articles_article ({columns}, tag_names)"
    " VALUES ({author}, 's', 't', {texts}, '{{wrong}}')",
    "INSERT INTO articles_article ({columns}) VALUES ({author}, 's', 't', {texts})"
    " ON CONFLICT (slug) DO UPDATE SET tag_names = '{{wrong}}'",
    "INSERT INTO articles_article ({columns}, tag_names)"
    " SELECT {author}, slug, 't', {texts}, '{{}}' FROM articles_article"
    " ON CONFLICT (slug) DO UPDATE SET tag_names = excluded.tag_names",
    "UPDATE articles_article SET hidden_at = now()",
    "UPDATE articles_article SET hidden_at = now(), tag_names = '{{}}' WHERE id = {first}",
    "UPDATE articles_article SET created_at = now(), author_id = {author}",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_names_are_exact_after_plain_sql(scene: Article, statement: str) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")  # otherwise they are checked at the commit

    execute(statement.format(**SUBQUERIES))

    assert_exact()


@pytest.mark.parametrize("table", ["articles_article", "users_user"])
def test_the_names_of_hidden_articles_are_exact_too(scene: Article, table: str) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute(f"UPDATE {table} SET hidden_at = now()")  # noqa: S608 -- no input
    for statement in STATEMENTS:
        with transaction.atomic():
            execute(statement.format(**SUBQUERIES))

            assert_exact(statement)
            transaction.set_rollback(True)


def test_names_that_belong_to_tag_ids_are_exact_after_the_ids_change(scene: Article) -> None:
    execute("SET CONSTRAINTS ALL DEFERRED")
    execute("UPDATE articles_tag SET id = -id; UPDATE articles_tagging SET tag_id = -tag_id")
    execute("SET CONSTRAINTS ALL IMMEDIATE")

    assert names_of(scene) == ["alice", "common", "first"]
    assert_exact()


# The triggers would not see that the row arrives or changes later in the transaction.
LATE_PARENTS: list[LiteralString] = [
    "INSERT INTO articles_tagging (article_id, tag_id) VALUES ({first}, 9);"
    "INSERT INTO articles_tag (id, name) VALUES (9, 'late')",
    "INSERT INTO articles_tagging (article_id, tag_id) VALUES (0, {bob});"
    "INSERT INTO articles_article (id, {columns}) VALUES (0, {author}, 's', 't', {texts})",
    "INSERT INTO articles_favorite (user_id, article_id, created_at) VALUES ({author}, 0, now());"
    "INSERT INTO articles_article (id, {columns}) VALUES (0, {author}, 's', 't', {texts})",
    "INSERT INTO articles_article (id, {columns}) VALUES (0, 0, 's', 't', {texts});"
    "UPDATE users_user SET id = 0 WHERE id = {author}",
    "UPDATE articles_tag SET id = -id; INSERT INTO articles_tag (id, name)"
    " SELECT -id, 'other' || id FROM articles_tag",
    "UPDATE articles_article SET id = -id; UPDATE articles_article SET id = -id - 1",
]


@pytest.mark.parametrize("statements", LATE_PARENTS)
def test_a_row_is_refused_before_the_row_that_it_refers_to(scene: Article, statements: str) -> None:
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        execute(statements.format(**SUBQUERIES))

    assert is_foreign_key_violation(refused.value)


def test_rows_written_by_copy_have_exact_names(scene: Article) -> None:
    last = Article.objects.latest("pk")
    tags = Tag.objects.named(f"tag{number}" for number in range(30))

    copy(Tagging, ("article", "tag"), [(last.pk, tag.pk) for tag in tags])

    assert len(names_of(last)) == 30
    assert_exact()


def test_an_article_saved_with_old_names_keeps_the_new_ones(scene: Article) -> None:
    old = Article.objects.get(pk=scene.pk)
    scene.tags.set(Tag.objects.named(["new"]))

    old.body = "Another"
    old.save()
    assert names_of(scene) == ["new"]

    old.tag_names = ["wrong"]
    old.save(update_fields=["tag_names"])
    Article.objects.filter(pk=scene.pk).update(tag_names=["wrong"])
    Article.objects.bulk_update([old], ["tag_names"])
    assert names_of(scene) == ["new"]


def test_bulk_created_rows_have_exact_names(scene: Article, alice: User) -> None:
    article = Article(
        author=alice, slug="s", title="t", description="d", body="b", updated_at=scene.updated_at
    )
    Article.objects.bulk_create([article])
    tags = Tag.objects.named(["x", "y"])
    Tagging.objects.bulk_create(Tagging(article=article, tag=tag) for tag in tags)

    assert names_of(article) == ["x", "y"]
    article.tags.remove(tags[0])
    assert_exact()
    article.tags.clear()
    assert names_of(article) == []


def tuple_version(article: Article) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid::text FROM articles_article WHERE id = %s", [article.pk])
        return str(cursor.fetchone()[0])


def test_names_supplied_with_a_new_article_need_no_second_write(alice: User) -> None:
    article = write_article(alice, tag_names=["x", "y"])
    written = tuple_version(article)

    article.tags.add(*Tag.objects.named(["x", "y"]))
    execute("SET CONSTRAINTS ALL IMMEDIATE")

    assert tuple_version(article) == written
    assert names_of(article) == ["x", "y"]


def test_wrong_names_of_a_new_article_are_corrected_at_the_commit(alice: User) -> None:
    article = write_article(alice, tag_names=["x", "y"])
    article.tags.add(*Tag.objects.named(["x"]))
    other = write_article(alice, tag_names=["x"])

    execute("SET CONSTRAINTS ALL IMMEDIATE")

    assert names_of(article) == ["x"]
    assert names_of(other) == []


def updated_articles() -> int:
    statistics = "SELECT n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'articles_article'"
    with connection.cursor() as cursor:
        cursor.execute(statistics)
        return int(cursor.fetchone()[0])


def test_the_api_writes_an_article_once(api: Api, alice: User) -> None:
    body = {"title": "t", "description": "d", "body": "b", "tagList": ["y", "x", "y"]}
    before = updated_articles()

    response = api(alice).post("/api/articles", {"article": body})

    assert response.json()["article"]["tagList"] == ["x", "y"]
    assert updated_articles() == before
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert_exact()


def test_a_fixture_is_loaded_with_exact_names(scene: Article, tmp_path: Path) -> None:
    fixture = tmp_path / "all.json"
    call_command("dumpdata", "users", "articles", output=str(fixture), verbosity=0)
    before = stored_names()
    fixture.write_text(
        fixture.read_text().replace("alice", "renamed").replace('"first\\"', '"x\\"')
    )
    scene.tags.clear()

    call_command("loaddata", str(fixture), verbosity=0)

    assert_exact()
    assert [len(names) for names in stored_names().values()] == [*map(len, before.values())]
    assert names_of(scene) == ["common", "first", "renamed"]


def test_deleted_users_and_articles_are_deleted_with_names(scene: Article, alice: User) -> None:
    Article.objects.filter(pk=scene.pk).update(hidden_at=Now())
    deletion.delete(Article.objects.filter(pk=scene.pk))
    assert_exact()
    deletion.delete(User.objects.filter(pk=alice.pk))
    assert_exact()
    deletion.delete(Tag.objects.filter(name="common"))
    assert_exact()
    assert len(stored_names()) == 2


def test_an_update_that_changes_no_tag_does_not_write_the_article(scene: Article) -> None:
    written = tuple_version(scene)

    execute("UPDATE articles_tagging SET article_hidden = false")
    execute("UPDATE articles_tag SET name = name")
    execute(
        "INSERT INTO articles_tagging (article_id, tag_id)"
        " SELECT article_id, tag_id FROM articles_tagging ON CONFLICT DO NOTHING"
    )

    assert tuple_version(scene) == written


# Two transactions at the same time.

real_transactions = pytest.mark.django_db(transaction=True)


def meanwhile(call: Callable[[], Any]) -> Any:
    """Starts the call in another thread and transaction. Returns after it waits for a lock of this
    transaction; the result is a future."""
    threads = ThreadPoolExecutor(1)

    def in_thread() -> Any:
        try:
            execute("SET lock_timeout = '10s'")
            with transaction.atomic():
                return call()
        finally:
            connection.close()

    answer = threads.submit(in_thread)
    threads.shutdown(wait=False)
    wait_for_blocked_connection()
    return answer


def tag(article: Article, name: str) -> None:
    Tagging.objects.create(article=article, tag=Tag.objects.get(name=name))


def rename(name: str, new: str) -> None:
    Tag.objects.filter(name=name).update(name=new)


@real_transactions
def test_a_tag_that_is_added_during_a_rename_has_the_new_name(scene: Article) -> None:
    bobs = Tag.objects.get(name="bob")
    with transaction.atomic():
        rename("bob", "robert")
        other = meanwhile(lambda: Tagging.objects.create(article=scene, tag=bobs))
    other.result()

    assert names_of(scene) == ["alice", "common", "first", "robert"]
    assert_exact()


@real_transactions
def test_a_tag_that_is_renamed_while_it_is_added_has_the_new_name(scene: Article) -> None:
    with transaction.atomic():
        tag(scene, "bob")
        other = meanwhile(lambda: rename("bob", "robert"))
    other.result()

    assert names_of(scene) == ["alice", "common", "first", "robert"]
    assert_exact()


@real_transactions
def test_an_article_keeps_the_tags_of_two_simultaneous_writers(scene: Article) -> None:
    last = Article.objects.latest("pk")
    with transaction.atomic():
        tag(last, "bob")
        other = meanwhile(lambda: tag(last, "alice"))
    other.result()

    assert names_of(last) == ["alice", "bob"]


@real_transactions
def test_a_tag_is_removed_while_another_is_renamed(scene: Article) -> None:
    with transaction.atomic():
        rename("common", "shared")
        other = meanwhile(lambda: scene.tags.remove(Tag.objects.get(name="alice")))
    other.result()

    assert names_of(scene) == ["first", "shared"]
    assert_exact()


@real_transactions
def test_an_article_saved_during_a_change_of_its_tags_has_exact_names(scene: Article) -> None:
    old = Article.objects.get(pk=scene.pk)
    with transaction.atomic():
        tag(scene, "bob")
        other = meanwhile(old.save)
    other.result()

    assert names_of(scene) == ["alice", "bob", "common", "first"]


ALICE: LiteralString = "(SELECT id FROM articles_tag WHERE name = 'alice')"
BOB: LiteralString = "(SELECT id FROM articles_tag WHERE name = 'bob')"
MERGE: LiteralString = f"""
    UPDATE articles_tagging SET tag_id = {BOB} WHERE tag_id = {ALICE}
        AND article_id NOT IN (SELECT article_id FROM articles_tagging WHERE tag_id = {BOB});
    DELETE FROM articles_tag WHERE name = 'alice';
"""  # noqa: S608 -- no input
CHANGES: list[LiteralString] = [
    "UPDATE articles_tag SET name = 'alicia' WHERE name = 'alice'",
    "UPDATE articles_tag SET name = upper(name)",
    "DELETE FROM articles_tag WHERE name = 'alice'",
    f"DELETE FROM articles_tagging WHERE tag_id = {ALICE}",  # noqa: S608 -- no input
    MERGE,
]
RESET: list[LiteralString] = [
    "DELETE FROM articles_tag WHERE name = 'alicia'",
    "DELETE FROM articles_tag WHERE name = 'ALICE'",
    "DELETE FROM articles_tag WHERE name = 'BOB'",
    "DELETE FROM articles_tag WHERE name = 'COMMON'",
    "DELETE FROM articles_tag WHERE name = 'NEW'",
    "INSERT INTO articles_tag (name) VALUES ('alice'), ('bob'), ('common') ON CONFLICT DO NOTHING",
]
TAG_LISTS = [["alice"], ["alice", "bob"], ["bob"], ["bob", "common"], [], ["new"]]


@real_transactions
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_tags_does_not_deadlock_with_requests(api: Api, change: str) -> None:
    """Each writer repeats its write. Deadlocks raise an error."""
    alice = make_user("alice")
    articles = [write_article(alice, tags=("alice", "common")) for _ in range(4)]
    until = threading.Event()
    before = deadlocks()

    def send(number: int) -> list[int]:
        client, article = api(alice), articles[number % 4]
        statuses = []
        for names in TAG_LISTS * 3:
            body = {"article": {"tagList": names, "body": str(number)}}
            statuses.append(client.put(f"/api/articles/{article.slug}", body).status_code)
        connection.close()
        return statuses

    def repeat_change() -> int:
        times = 0
        with psycopg.connect(database_url(), autocommit=True) as session:
            while not until.is_set():
                for statement in RESET:
                    session.execute(statement)
                # A name or a tagging that a request has just written.
                with suppress(UniqueViolation), session.transaction():
                    session.execute(change)
                    times += 1
        return times

    with ThreadPoolExecutor(4) as threads:
        changes = threads.submit(repeat_change)
        try:
            requests = [threads.submit(send, number) for number in range(3)]
            statuses = [status for request in requests for status in request.result()]
        finally:
            until.set()

    assert changes.result() > 10
    # A tag that was deleted after the request found it: the foreign key refuses the tagging.
    assert {*statuses} <= {200, 404}
    assert statuses.count(200) > len(statuses) / 2
    assert_exact()
    assert deadlocks() == before


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


# The migrations.

CONTENT: LiteralString = """
    INSERT INTO users_user (username, email, username_folded, email_folded, password,
            is_active, is_staff, is_superuser, created_at)
        SELECT n, n, n, n, '!', true, false, false, now() FROM generate_series(1, 3) AS n;
    INSERT INTO articles_article (author_id, slug, title, description, body, created_at, updated_at)
        SELECT 1, n, n, n, n, now(), now() FROM generate_series(1, 3) AS n;
    INSERT INTO articles_tag (name) VALUES ('z'), ('Z'), ('é');
    INSERT INTO articles_tagging (article_id, tag_id)
        SELECT a, t FROM generate_series(1, 3) AS a, generate_series(1, 3) AS t WHERE a + t < 5;
"""
NAMES: LiteralString = "SELECT id, tag_names FROM articles_article ORDER BY id"


def test_the_migration_stores_existing_names_and_waits_for_writers() -> None:
    with migrated() as server:
        migrate(server, "articles", "0012")
        traces = "SELECT proname FROM pg_proc WHERE prosrc LIKE %s"
        assert server.execute(traces, ["%tag_names%"]) == []
        server.execute(CONTENT)
        migrate(server, "articles", "0013")
        with server.session() as writer, ThreadPoolExecutor(1) as thread:
            writer.execute("BEGIN")
            writer.execute("DELETE FROM articles_tagging WHERE article_id = 3")
            migration = thread.submit(migrate, server)
            waits = "SELECT pid FROM pg_locks WHERE %s = ANY (pg_blocking_pids(pid))"
            pid = writer.info.backend_pid
            wait_until(
                lambda: server.execute(waits, [pid]) != [], "the migration waits", seconds=50
            )
            writer.execute("COMMIT")
            migration.result()

        assert server.execute(NAMES) == [(1, ["Z", "z", "é"]), (2, ["Z", "z"]), (3, [])]
        disabled = "SELECT tgname FROM pg_trigger WHERE tgenabled = 'D'"
        assert server.execute(disabled) == []
        verification = run_forked("manage.py", "verify_counts", DATABASE_URL=server.url())
        assert "All counts and copies are correct" in verification.stdout, verification.stdout

        migrate(server, "articles", "0013")
        server.execute("DELETE FROM articles_tagging WHERE article_id = 1")
        migrate(server)
        assert server.execute(NAMES) == [(1, []), (2, ["Z", "z"]), (3, [])]
