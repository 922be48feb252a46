"""Every stored count is equal to the rows in the tables, for every way to write."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, LiteralString

import pytest
from django.db import connection, transaction
from django.db.models import Count, IntegerField, OuterRef, Sum
from django.db.utils import IntegrityError

from articles.counts import CountKind, Tally, stored_count, sum_of_stored_counts
from articles.models import Article, Favorite, Tag, Tagging
from articles.queries import tags_most_used_first
from database.backend.cleanup import Cleanup, cleanup_after
from profiles.models import Follow
from tests.builders import follow, like, make_user, write_article
from tests.database.servers import migrate, migrated, wait_until
from tests.processes import run_forked
from users.models import User

Counts = Counter[tuple[int, int]]


def stored_counts() -> Counts:
    rows = Tally.objects.values_list("counted", "key").annotate(Sum("count"))
    return Counter({(counted, key): number for counted, key, number in rows})


def actual_counts() -> Counts:
    """The counts computed from the tables, in another way than `verify_counts` computes them."""
    counts: Counts = Counter()
    hidden_users = {*User.objects.filter(hidden_at__isnull=False).values_list("pk", flat=True)}
    hidden = set()
    for article in Article.objects.all():
        if article.hidden_at or article.author_id in hidden_users:
            hidden.add(article.pk)
            continue
        counts[CountKind.ARTICLES, 0] += 1
        counts[CountKind.ARTICLES_OF_AUTHOR, article.author_id] += 1
    for tagging in Tagging.objects.all():
        if tagging.article_id not in hidden:
            counts[CountKind.ARTICLES_OF_TAG, tagging.tag_id] += 1
    for favorite in Favorite.objects.all():
        counts[CountKind.FAVORITES_OF_ARTICLE, favorite.article_id] += 1
        if favorite.article_id not in hidden:
            counts[CountKind.FAVORITES_OF_USER, favorite.user_id] += 1
    return counts


def rows_of(kind: CountKind, key: int) -> int:
    return Tally.objects.filter(counted=kind, key=key).count()


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def scene(alice: User, bob: User, charlie: User) -> Article:
    """Alice and Bob wrote two articles each, with a shared tag. Charlie favorited all articles,
    Alice and Bob the first two."""
    articles = [
        write_article(author, tags=("common", author.username)) for author in (alice, alice, bob)
    ]
    articles.append(write_article(bob))
    for article in articles:
        like(charlie, article)
    for reader in (alice, bob):
        like(reader, articles[0])
        like(reader, articles[1])
    return articles[0]


def test_every_written_row_is_counted(
    scene: Article, alice: User, bob: User, charlie: User
) -> None:
    common = Tag.objects.get(name="common")

    counts = stored_counts()

    assert counts == actual_counts()
    assert counts[CountKind.ARTICLES, 0] == 4
    assert counts[CountKind.ARTICLES_OF_AUTHOR, bob.pk] == 2
    assert counts[CountKind.ARTICLES_OF_TAG, common.pk] == 3
    assert counts[CountKind.FAVORITES_OF_ARTICLE, scene.pk] == 3
    assert counts[CountKind.FAVORITES_OF_USER, charlie.pk] == 4
    assert counts[CountKind.FAVORITES_OF_USER, alice.pk] == 2


HIDE: list[LiteralString] = [
    "UPDATE articles_article SET hidden_at = now() WHERE id = {first}",
    "UPDATE articles_article SET hidden_at = now()",
    "UPDATE users_user SET hidden_at = now() WHERE username = 'alice'",
    "UPDATE users_user SET hidden_at = now()",
    "UPDATE users_user SET hidden_at = now() WHERE username = 'alice';"
    " UPDATE articles_article SET hidden_at = now() WHERE id = {first}",
]
SHOW: list[LiteralString] = [
    "UPDATE articles_article SET hidden_at = NULL WHERE id = {first}",
    "UPDATE users_user SET hidden_at = NULL WHERE username = 'alice'",
    "UPDATE users_user SET hidden_at = NULL; UPDATE articles_article SET hidden_at = NULL",
]
SUBQUERIES = {
    "first": "(SELECT min(id) FROM articles_article)",
    "last": "(SELECT max(id) FROM articles_article)",
    "alice": "(SELECT id FROM users_user WHERE username = 'alice')",
    "bob": "(SELECT id FROM users_user WHERE username = 'bob')",
}
STATEMENTS: list[LiteralString] = [
    "DELETE FROM articles_article",
    "DELETE FROM articles_article WHERE id = {first}",
    "DELETE FROM articles_article WHERE author_id = {alice}",
    "DELETE FROM users_user",
    "DELETE FROM users_user WHERE username <> 'charlie'",
    "DELETE FROM articles_tag",
    "DELETE FROM articles_tag WHERE name = 'common'",
    "DELETE FROM articles_tagging WHERE article_id = {first}",
    "DELETE FROM articles_favorite WHERE user_id = {bob}",
    "DELETE FROM articles_favorite WHERE article_id = {last}",
    "UPDATE articles_article SET author_id = {bob}",
    "UPDATE articles_article SET author_id = {bob} WHERE id = {first}",
    "UPDATE articles_article SET created_at = now(), title = 'Another'",
    "UPDATE articles_tagging SET tag_id = (SELECT id FROM articles_tag WHERE name = 'bob')"
    " WHERE tag_id = (SELECT id FROM articles_tag WHERE name = 'alice')",
    "UPDATE articles_tagging SET article_id = {last} WHERE article_id = {first}",
    "UPDATE articles_favorite SET article_id = {last} WHERE user_id = {bob}"
    " AND article_id = {first}",
    "UPDATE articles_favorite SET user_id = {bob} WHERE article_id = {last}",
    "UPDATE articles_article SET id = -id",
    "UPDATE articles_favorite SET id = -id",
    "INSERT INTO articles_favorite (user_id, article_id, created_at)"
    " SELECT id, {last}, now() FROM users_user ON CONFLICT DO NOTHING",
    "INSERT INTO articles_favorite (user_id, article_id, created_at)"
    " SELECT id, {first}, now() FROM users_user ON CONFLICT (user_id, article_id)"
    " DO UPDATE SET article_id = {last} WHERE articles_favorite.user_id = {bob}",
    "MERGE INTO articles_favorite USING users_user AS reader"
    " ON user_id = reader.id AND article_id = {last}"
    " WHEN MATCHED THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT (user_id, article_id, created_at)"
    " VALUES (reader.id, {last}, now())",
    "WITH moved AS (DELETE FROM articles_favorite WHERE article_id = {first} RETURNING *)"
    " INSERT INTO articles_favorite (user_id, article_id, created_at)"
    " SELECT user_id, {last}, now() FROM moved ON CONFLICT DO NOTHING",
    "TRUNCATE articles_favorite",
    "TRUNCATE articles_tagging",
    "TRUNCATE articles_article CASCADE",
    "TRUNCATE users_user CASCADE",
    "TRUNCATE articles_tag, articles_tagging, articles_tally, articles_favorite,"
    " articles_comment, articles_oldslug, articles_article",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_rows_written_by_plain_sql_are_counted(scene: Article, statement: str) -> None:
    # Otherwise the foreign keys of comments and old slugs are checked at the commit.
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    if "SET id" in statement:
        execute("SET CONSTRAINTS ALL DEFERRED")

    execute(statement.format(**SUBQUERIES))

    assert stored_counts() == actual_counts()
    assert not Tally.objects.filter(count=0).exists()
    if "SET id" in statement:
        execute(statement.format(**SUBQUERIES))
        execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("hide", HIDE)
def test_rows_written_by_plain_sql_are_counted_while_rows_are_hidden(
    scene: Article, hide: str
) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute(hide.format(**SUBQUERIES))
    assert stored_counts() == actual_counts()

    for statement in [*STATEMENTS, *HIDE, *SHOW]:
        with transaction.atomic():
            if "SET id" in statement:
                execute("SET CONSTRAINTS ALL DEFERRED")
            execute(statement.format(**SUBQUERIES))

            assert stored_counts() == actual_counts(), statement
            assert not Tally.objects.filter(count=0).exists(), statement
            transaction.set_rollback(True)


def test_counts_are_right_for_every_order_of_the_cascades(scene: Article) -> None:
    """PostgreSQL runs the cascades of deleted rows in the order of the rows on disk."""
    chance = random.Random(1)  # noqa: S311 -- no secret
    names = ["alice", "bob", "charlie"]
    for _ in range(60):
        with transaction.atomic():
            for name in chance.choices(names, k=2):
                User.objects.filter(username=name).update(bio="The row moves")
            hide, statement = chance.choice(HIDE), chance.choice(STATEMENTS[:10])
            execute(hide.format(**SUBQUERIES))
            execute(statement.format(**SUBQUERIES))

            assert stored_counts() == actual_counts(), (hide, statement)
            transaction.set_rollback(True)


@pytest.mark.parametrize("hide", HIDE)
def test_rows_that_are_shown_again_are_counted_again(scene: Article, hide: str) -> None:
    before = stored_counts()
    execute(hide.format(**SUBQUERIES))
    assert stored_counts() != before

    execute(SHOW[-1])

    assert stored_counts() == before


def test_rows_written_by_copy_are_counted(scene: Article, charlie: User) -> None:
    readers = [make_user(f"reader{number}") for number in range(30)]
    articles = [*Article.objects.all()]
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY articles_favorite (user_id, article_id, created_at) FROM STDIN") as rows,
    ):
        for reader in readers:
            for article in articles:
                rows.write_row((reader.pk, article.pk, article.created_at))

    assert stored_counts() == actual_counts()
    assert stored_counts()[CountKind.FAVORITES_OF_ARTICLE, scene.pk] == 33
    assert rows_of(CountKind.FAVORITES_OF_ARTICLE, scene.pk) == 1


ADD_FAVORITES = """
    INSERT INTO articles_favorite (user_id, article_id, created_at)
    SELECT id, article, now() FROM users_user, unnest(ARRAY[{first}, {last}]) AS article
    ON CONFLICT DO NOTHING
"""
MOVE_FAVORITES = """
    UPDATE articles_favorite SET article_id = {first} + 1 FROM users_user AS reader
    WHERE user_id = reader.id AND username LIKE 'reader%' AND article_id = {first}
"""
REMOVE_FAVORITES = """
    DELETE FROM articles_favorite USING users_user AS reader
    WHERE user_id = reader.id AND username LIKE 'reader%'
"""


def test_statements_with_many_rows_are_counted(scene: Article) -> None:
    """The triggers count many rows in another way, which merges the rows of a count into one."""
    for number in range(15):
        make_user(f"reader{number}")
    for change in (-20, 7, 13):
        Tally.objects.create(counted=CountKind.FAVORITES_OF_ARTICLE, key=scene.pk, count=change)
    for statement, favorites in (
        (ADD_FAVORITES, 18),
        (MOVE_FAVORITES, 3),
        (ADD_FAVORITES, 18),
        (REMOVE_FAVORITES, 3),
        (ADD_FAVORITES, 18),
    ):
        execute(statement.format(**SUBQUERIES))
        assert stored_counts() == actual_counts()
        assert stored_counts()[CountKind.FAVORITES_OF_ARTICLE, scene.pk] == favorites
        assert rows_of(CountKind.FAVORITES_OF_ARTICLE, scene.pk) == 1
        assert not Tally.objects.filter(count=0).exists()

    scene.delete()

    assert stored_counts() == actual_counts()
    assert rows_of(CountKind.FAVORITES_OF_ARTICLE, scene.pk) == 0


@pytest.mark.parametrize("number", [10, 11])
def test_few_rows_and_many_rows_are_counted_the_same(scene: Article, number: int) -> None:
    """A statement of at most ten rows is counted row by row."""
    names = [f"tag{n}" for n in range(number)]
    write_article(scene.author, tags=tuple(names))
    for n in range(number):
        make_user(f"reader{n}")
    readers = User.objects.filter(username__startswith="reader")
    Favorite.objects.bulk_create(Favorite(user=reader, article=scene) for reader in readers)
    Article.objects.bulk_create(
        Article(
            author=scene.author,
            slug=f"slug{n}",
            title="t",
            description="d",
            body="b",
            updated_at=scene.updated_at,
        )
        for n in range(number)
    )

    assert stored_counts() == actual_counts()
    assert stored_counts()[CountKind.FAVORITES_OF_ARTICLE, scene.pk] == 3 + number

    Article.objects.filter(slug__startswith="slug").delete()
    Favorite.objects.filter(user__in=readers).delete()
    Tagging.objects.filter(tag__name__in=names).delete()
    assert stored_counts() == actual_counts()
    assert not Tally.objects.filter(count=0).exists()


def test_an_increase_to_zero_deletes_the_row(scene: Article, alice: User) -> None:
    of_article = Tally.objects.filter(counted=CountKind.FAVORITES_OF_ARTICLE, key=scene.pk)
    of_article.update(count=-1)
    Tally.objects.create(counted=CountKind.FAVORITES_OF_ARTICLE, key=scene.pk, count=4)

    like(make_user("dora"), scene)

    assert [tally.count for tally in of_article] == [4]
    assert stored_counts() == actual_counts()


def test_an_existing_favorite_is_not_counted_again(scene: Article, bob: User) -> None:
    Favorite.objects.bulk_create(
        [Favorite(user=bob, article=article) for article in Article.objects.all()],
        ignore_conflicts=True,
    )

    assert stored_counts() == actual_counts()
    assert stored_counts()[CountKind.FAVORITES_OF_USER, bob.pk] == 4


def test_rows_that_are_rolled_back_are_not_counted(scene: Article, bob: User) -> None:
    before = stored_counts()

    with transaction.atomic():
        write_article(bob, tags=("common", "new"))
        with transaction.atomic():
            Article.objects.filter(pk=scene.pk).delete()
        transaction.set_rollback(True)
    with pytest.raises(IntegrityError), transaction.atomic():
        like(bob, scene)

    assert stored_counts() == before == actual_counts()


def test_a_count_of_zero_has_no_row(scene: Article) -> None:
    User.objects.all().delete()
    Tag.objects.all().delete()

    assert not Tally.objects.exists()


def test_a_tagging_that_gets_another_tag_is_counted_there(scene: Article) -> None:
    tagging = scene.taggings.get(tag__name="common")
    tagging.tag = Tag.objects.get(name="bob")
    tagging.save()

    assert stored_counts() == actual_counts()
    assert stored_counts()[CountKind.ARTICLES_OF_TAG, tagging.tag_id] == 2


def test_a_count_can_be_annotated_to_each_row(scene: Article) -> None:
    tags = Tag.objects.annotate(
        stored=stored_count(CountKind.ARTICLES_OF_TAG, OuterRef("pk")), counted=Count("taggings")
    )

    assert all(tag.stored == tag.counted for tag in tags)  # type: ignore[attr-defined]
    assert len(tags) == 3
    assert isinstance(stored_count(CountKind.ARTICLES, 0).output_field, IntegerField)


def test_a_missing_count_is_0(db: None) -> None:
    tag = Tag.objects.create(name="new")
    tags = Tag.objects.annotate(
        articles_count=stored_count(CountKind.ARTICLES_OF_TAG, OuterRef("pk")),
        total=stored_count(CountKind.ARTICLES, 0),
        of_nobody=sum_of_stored_counts(
            CountKind.ARTICLES_OF_AUTHOR, User.objects.none().values("pk")
        ),
    )

    assert tags.values_list("articles_count", "total", "of_nobody").get() == (0, 0, 0)
    assert tags_most_used_first() == []
    assert tag.pk


def test_the_counts_of_several_keys_are_added(scene: Article, alice: User, bob: User) -> None:
    follow(alice, bob)
    follow(bob, make_user("dora"))
    followed = Follow.objects.filter(follower=OuterRef(OuterRef("pk"))).values("followed")
    feed = sum_of_stored_counts(CountKind.ARTICLES_OF_AUTHOR, followed)

    sums = dict(User.objects.annotate(feed=feed).values_list("username", "feed"))

    assert sums == {"alice": 2, "bob": 2, "charlie": 0, "dora": 0}


def test_a_count_is_read_with_one_index_scan(scene: Article) -> None:
    Tally.objects.bulk_create(
        Tally(counted=CountKind.FAVORITES_OF_ARTICLE, key=-key, count=1) for key in range(1, 5001)
    )
    execute("ANALYZE articles_tally")
    count = stored_count(CountKind.FAVORITES_OF_ARTICLE, OuterRef("pk"))

    plan = Article.objects.values_list(count).explain(verbose=True)

    assert "Index Scan using tally_of_key" in plan
    assert plan.count("articles_tally") == 1
    assert "Group" not in plan
    assert "Seq Scan on public.articles_tally" not in plan


def test_reading_counts_changes_no_session_state(db: None) -> None:
    tags = Tag.objects.annotate(
        one=stored_count(CountKind.ARTICLES_OF_TAG, OuterRef("pk")),
        many=sum_of_stored_counts(CountKind.ARTICLES_OF_AUTHOR, User.objects.values("pk")),
    )

    assert cleanup_after(tags.query.sql_with_params()[0]) is Cleanup.NONE


def test_counting_updates_no_index_and_scans_no_table(scene: Article) -> None:
    # With this setting the planner prefers a sequential scan, as it does for a small table.
    execute("SET LOCAL random_page_cost = 10000")
    execute("DISCARD PLANS")
    readers = [make_user(f"reader{number}") for number in range(30)]
    like(readers[0], scene)
    before = activity()

    for reader in readers[1:]:
        like(reader, scene)

    after = activity()
    assert after["n_tup_upd"] - before["n_tup_upd"] == 29
    assert after["n_tup_hot_upd"] - before["n_tup_hot_upd"] == 29
    assert after["seq_scan"] == before["seq_scan"]


def activity() -> dict[str, int]:
    """The statistics of this transaction for the table of counts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM pg_stat_xact_user_tables WHERE relname = 'articles_tally'")
        columns = [column.name for column in cursor.description]
        return dict(zip(columns, cursor.fetchone(), strict=True))


real_transactions = pytest.mark.django_db(transaction=True)


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    """The results of the calls, each run in its own thread and connection."""

    def in_thread(call: Callable[[], Any]) -> Any:
        try:
            # A call that waits for a lock fails instead of blocking the test.
            execute("SET lock_timeout = '3s'")
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [answer.result() for answer in [threads.submit(in_thread, call) for call in calls]]


@real_transactions
def test_simultaneous_writers_of_one_count_do_not_wait(scene: Article, alice: User) -> None:
    """All transactions are open at the same time and change the same counts."""
    everybody = threading.Barrier(6)

    def publish() -> None:
        with transaction.atomic():
            like(make_user(f"reader{threading.get_ident()}"), scene)
            write_article(alice, tags=("common", "alice"))
            everybody.wait(timeout=20)

    in_threads(*[publish] * 6)

    assert stored_counts() == actual_counts()
    assert stored_counts()[CountKind.ARTICLES, 0] == 10
    assert rows_of(CountKind.ARTICLES, 0) == 6

    # A decrease merges the rows of a count into one.
    Article.objects.latest("pk").delete()
    assert stored_counts() == actual_counts()
    assert rows_of(CountKind.ARTICLES, 0) == 1


@real_transactions
def test_tags_added_in_opposite_orders_do_not_wait(scene: Article) -> None:
    ours = Article.objects.latest("pk")
    names = ("alice", "common")
    tags = [Tag.objects.get(name=name) for name in names]
    theirs = write_article(User.objects.get(username="bob"))
    first = threading.Barrier(2)

    def tag(article: Article, order: list[Tag]) -> None:
        with transaction.atomic():
            Tagging.objects.create(article=article, tag=order[0])
            first.wait(timeout=20)
            Tagging.objects.create(article=article, tag=order[1])

    in_threads(lambda: tag(ours, tags), lambda: tag(theirs, tags[::-1]))

    assert stored_counts() == actual_counts()
    assert stored_counts()[CountKind.ARTICLES_OF_TAG, tags[1].pk] == 5


@real_transactions
def test_an_article_can_be_deleted_while_others_are_published(scene: Article, bob: User) -> None:
    both = threading.Barrier(2)

    def delete() -> None:
        with transaction.atomic():
            scene.delete()
            both.wait(timeout=20)

    def publish() -> None:
        with transaction.atomic():
            both.wait(timeout=20)
            write_article(bob, tags=("common", "alice"))

    in_threads(delete, publish)

    assert stored_counts() == actual_counts()
    assert rows_of(CountKind.FAVORITES_OF_ARTICLE, scene.pk) == 0


@real_transactions
def test_simultaneous_bulk_inserts_do_not_wait(scene: Article) -> None:
    articles = [*Article.objects.all()]
    readers = [[make_user(f"reader{load}.{number}") for number in range(20)] for load in range(3)]
    all_loaded = threading.Barrier(3)

    def load(mine: list[User]) -> None:
        with transaction.atomic():
            Favorite.objects.bulk_create(
                Favorite(user=reader, article=article) for reader in mine for article in articles
            )
            all_loaded.wait(timeout=20)

    in_threads(*[partial(load, mine) for mine in readers])

    assert stored_counts() == actual_counts()
    assert stored_counts()[CountKind.FAVORITES_OF_ARTICLE, scene.pk] == 63


@real_transactions
def test_all_rows_of_a_count_are_deleted_with_the_article(scene: Article, bob: User) -> None:
    everybody = threading.Barrier(4)

    def add_favorite() -> None:
        with transaction.atomic():
            like(make_user(f"reader{threading.get_ident()}"), scene)
            everybody.wait(timeout=20)

    in_threads(*[add_favorite] * 4)
    assert rows_of(CountKind.FAVORITES_OF_ARTICLE, scene.pk) == 4

    scene.delete()

    assert rows_of(CountKind.FAVORITES_OF_ARTICLE, scene.pk) == 0
    assert stored_counts() == actual_counts()


CONTENT: LiteralString = """
    INSERT INTO users_user (username, email, username_folded, email_folded, password,
            is_active, is_staff, is_superuser, created_at)
        SELECT n, n, n, n, '!', true, false, false, now() FROM generate_series(1, 3) AS n;
    INSERT INTO articles_article (author_id, slug, title, description, body, created_at, updated_at)
        SELECT 1, n, n, n, n, now(), now() FROM generate_series(1, 10) AS n;
    INSERT INTO articles_favorite (user_id, article_id, created_at)
        SELECT users_user.id, articles_article.id, now() FROM users_user, articles_article;
"""
COUNTS: LiteralString = "SELECT counted, key, count FROM articles_tally ORDER BY counted, key"


def test_the_migration_counts_existing_rows_and_waits_for_writers() -> None:
    with migrated() as server:
        migrate(server, "articles", "0006")
        traces = "SELECT proname FROM pg_proc WHERE prosrc LIKE %s"
        assert server.execute(traces, ["%articles_tally%"]) == []
        server.execute(CONTENT)
        with server.session() as writer, ThreadPoolExecutor(1) as thread:
            writer.execute("BEGIN")
            writer.execute("DELETE FROM articles_article WHERE id > 2")
            migration = thread.submit(migrate, server)
            waits = "SELECT pid FROM pg_locks WHERE %s = ANY (pg_blocking_pids(pid))"
            pid = writer.info.backend_pid
            wait_until(
                lambda: server.execute(waits, [pid]) != [], "the migration waits", seconds=50
            )
            writer.execute("COMMIT")
            migration.result()

        of_users = [(CountKind.FAVORITES_OF_USER, user, 2) for user in (1, 2, 3)]
        of_articles = [(CountKind.FAVORITES_OF_ARTICLE, article, 3) for article in (1, 2)]
        articles = [(CountKind.ARTICLES, 0, 2), (CountKind.ARTICLES_OF_AUTHOR, 1, 2)]
        assert server.execute(COUNTS) == articles + of_articles + of_users


def test_a_migration_replaces_the_triggers_of_version_0_1_0() -> None:
    with migrated() as server:
        migrate(server, "articles", "0007")
        server.execute("""
            CREATE FUNCTION articles_favorite_tally_insert() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RETURN NULL; END $$;
            CREATE OR REPLACE TRIGGER articles_favorite_tally_insert
                AFTER INSERT ON articles_favorite REFERENCING NEW TABLE AS fresh
                FOR EACH STATEMENT EXECUTE FUNCTION articles_favorite_tally_insert();
        """)

        migrate(server)

        server.execute(CONTENT)
        verification = run_forked("manage.py", "verify_counts", DATABASE_URL=server.url())
        assert "All counts and copies are correct" in verification.stdout, verification.stdout
        functions = "SELECT FROM pg_proc WHERE proname = 'articles_favorite_tally_insert'"
        assert server.execute(functions) == []
