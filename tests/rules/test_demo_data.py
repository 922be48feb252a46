"""`manage.py demo_data`."""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.db.models import F, Model
from django.test import Client

from articles.counts import Tally
from articles.demo.calendar import Calendar
from articles.demo.chance import dice, shares
from articles.demo.people import strangers
from articles.demo.remarks import Thread
from articles.demo.tables import copy
from articles.demo.vocabulary import vocabulary
from articles.demo.writing import Writer
from articles.models import Article, Comment, Favorite, Tag, Tagging
from articles.slugs import slugs_for
from profiles.models import Follow
from tests.builders import make_user, write_article
from tests.client import ApiClient
from tests.database.servers import wait_until
from tests.processes import database_url
from users.models import User
from users.names import fold

Api = Callable[..., ApiClient]

PASSWORD = "a password of our own"
SMALL = {"users": 8, "articles": 12, "comments": 20, "favorites": 30, "follows": 20}
MODELS: tuple[type[Model], ...] = (User, Follow, Tag, Article, Tagging, Comment, Favorite)


def load(**options: Any) -> str:
    """Run the command, for a small site unless `options` say otherwise, and return its output."""
    out = StringIO()
    options = {"password": PASSWORD, "until": "2024-02-29"} | SMALL | options
    call_command("demo_data", stdout=out, **options)
    return out.getvalue()


def content() -> list[Any]:
    """The content of all tables without ids and passwords, sorted."""
    rows: Iterable[Any]
    found = []
    for rows in (
        User.objects.values_list("username", "email", "bio", "image", "created_at", "is_staff"),
        Follow.objects.values_list("follower__username", "followed__username", "created_at"),
        Article.objects.values_list(
            "author__username", "slug", "title", "description", "body", "created_at", "updated_at"
        ),
        Tagging.objects.values_list("article__slug", "tag__name"),
        Comment.objects.values_list("author__username", "article__slug", "body", "created_at"),
        Favorite.objects.values_list("user__username", "article__slug", "created_at"),
    ):
        found += sorted(rows, key=repr)
    return found


def is_empty() -> bool:
    return not any(model._default_manager.exists() for model in MODELS)


@pytest.mark.django_db
def test_it_loads_the_requested_numbers() -> None:
    said = load()

    assert User.objects.count() == 8
    assert Article.objects.count() == 12
    assert Comment.objects.count() == 20
    assert Favorite.objects.count() == 30
    assert Follow.objects.count() == 20
    assert "8 users, 12 articles, 20 comments, 30 favorites, 20 follows" in said


@pytest.mark.django_db
def test_it_loads_a_demo_site_without_any_number() -> None:
    load(**dict.fromkeys(SMALL))

    assert User.objects.count() == 30
    assert Article.objects.count() == 200
    assert Comment.objects.count() == 600
    assert Favorite.objects.count() == 1200
    assert Follow.objects.count() == 240
    tags = Counter(Tagging.objects.values_list("tag", flat=True))
    most_used = sorted(tags.values(), reverse=True)
    assert most_used[0] > 20 > most_used[10] > most_used[-1] > 0


@pytest.mark.django_db
def test_the_planner_has_statistics_of_every_table_that_it_fills() -> None:
    load()

    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > 0")
        analyzed = {name for (name,) in cursor.fetchall()}
    filled = {model._meta.db_table for model in MODELS} | {Tally._meta.db_table}
    assert filled <= analyzed


@pytest.mark.django_db
def test_every_user_can_favorite_every_article_and_follow_every_other_user() -> None:
    load(favorites=8 * 12, follows=8 * 7, comments=0)

    assert Favorite.objects.count() == 96
    assert Follow.objects.count() == 56
    assert Comment.objects.count() == 0


@pytest.mark.django_db
def test_the_same_seed_gives_the_same_content() -> None:
    load()
    first = content()
    User.objects.all().delete()
    Tag.objects.all().delete()

    load()

    assert content() == first


@pytest.mark.django_db
def test_another_seed_gives_other_content() -> None:
    load(seed=1)
    first = set(Article.objects.values_list("title", flat=True))
    User.objects.all().delete()

    load(seed=2)

    assert not first & set(Article.objects.values_list("title", flat=True))


@pytest.mark.django_db
def test_every_row_passes_the_validation_of_its_model() -> None:
    load()

    for model in MODELS:
        for row in model._default_manager.all():
            row.full_clean()
    for user in User.objects.all():
        assert user.username_folded == fold(user.username)
        assert user.email_folded == fold(user.email)
    for article in Article.objects.all():
        assert article.slug == next(slugs_for(article.title))


@pytest.mark.django_db
def test_times_are_in_a_possible_order_and_not_in_the_future() -> None:
    load(articles=60, comments=200, favorites=200)

    articles, comments, favorites = Article.objects, Comment.objects, Favorite.objects
    assert not articles.filter(created_at__lt=F("author__created_at")).exists()
    assert not articles.filter(updated_at__lt=F("created_at")).exists()
    assert articles.filter(updated_at__gt=F("created_at")).exists()
    assert not comments.filter(created_at__lt=F("article__created_at")).exists()
    assert not comments.filter(created_at__lt=F("author__created_at")).exists()
    assert not comments.filter(updated_at__lt=F("created_at")).exists()
    assert not favorites.filter(created_at__lt=F("article__created_at")).exists()
    assert not favorites.filter(created_at__lt=F("user__created_at")).exists()
    assert not Follow.objects.filter(created_at__lt=F("follower__created_at")).exists()
    assert not Follow.objects.filter(created_at__lt=F("followed__created_at")).exists()
    for rows in (articles, comments):
        assert not rows.filter(updated_at__gt="2024-02-29T00:00Z").exists()
    for likes in (favorites, Follow.objects):
        assert not likes.filter(created_at__gt="2024-02-29T00:00Z").exists()
    by_time = articles.order_by("created_at").values_list("pk", flat=True)
    assert list(by_time) == sorted(by_time)


@pytest.mark.django_db
def test_no_author_is_the_first_to_comment() -> None:
    load(comments=200)

    first = Comment.objects.order_by("article", "created_at").distinct("article")
    assert len(first) == 12
    for comment in first.select_related("article"):
        assert comment.author_id != comment.article.author_id
    assert Comment.objects.filter(author=F("article__author")).exists()


@pytest.mark.django_db
def test_johndoe_can_log_in_and_has_articles_followers_and_a_feed(api: Api) -> None:
    load()

    credentials = {"email": "john@example.com", "password": PASSWORD}
    response = api().post("/api/users/login", {"user": credentials})

    assert response.status_code == 200
    assert response.json()["user"]["username"] == "johndoe"
    john = User.objects.get(username="johndoe")
    assert not john.is_staff
    assert api().get("/api/articles?author=johndoe").json()["articlesCount"] > 0
    assert api(john).get("/api/articles/feed").json()["articlesCount"] > 0
    assert john.followers.exists()


@pytest.mark.django_db
def test_two_people_and_two_articles_are_enough_for_a_feed(api: Api) -> None:
    load(users=2, articles=2, comments=1, favorites=1, follows=1)

    john = User.objects.get(username="johndoe")
    assert Article.objects.filter(author=john).count() == 1
    assert api(john).get("/api/articles/feed").json()["articlesCount"] == 1


@pytest.mark.django_db
def test_editor_can_use_the_admin(client: Client) -> None:
    load()

    credentials = {"username": "editor@example.com", "password": PASSWORD}
    response = client.post("/admin/login/?next=/admin/", credentials)

    assert response.headers["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


@pytest.mark.django_db
def test_no_other_user_has_a_password() -> None:
    load()

    others = User.objects.exclude(username__in=["editor", "johndoe"])
    assert not any(user.has_usable_password() for user in others)


@pytest.mark.django_db
def test_users_can_register_and_publish_afterwards(api: Api) -> None:
    load()

    newcomer = {"username": "dora", "email": "dora@example.com", "password": PASSWORD}
    assert api().post("/api/users", {"user": newcomer}).status_code == 201
    dora = api(User.objects.get(username="dora"))
    title = Article.objects.values_list("title", flat=True)[0]
    article = {"title": title, "description": "d", "body": "b", "tagList": ["new here"]}
    response = dora.post("/api/articles", {"article": article})
    assert response.status_code == 201
    path = f"/api/articles/{response.json()['article']['slug']}"
    assert dora.post(f"{path}/comments", {"comment": {"body": "b"}}).status_code == 201
    assert dora.post(f"{path}/favorite").status_code == 200
    assert dora.post("/api/profiles/johndoe/follow").status_code == 200


@pytest.mark.django_db
def test_it_refuses_a_database_with_content() -> None:
    make_user("alice")

    with pytest.raises(CommandError, match="--append"):
        load()

    assert User.objects.count() == 1


@pytest.mark.django_db
def test_superusers_do_not_count_as_content() -> None:
    make_user("root", is_superuser=True, is_staff=True)

    load()

    assert User.objects.count() == 9


@pytest.mark.django_db
def test_an_article_of_a_superuser_counts_as_content() -> None:
    write_article(make_user("root", is_superuser=True))

    with pytest.raises(CommandError, match="--append"):
        load()


@pytest.mark.django_db
def test_if_empty_does_nothing_when_there_is_content() -> None:
    make_user("alice")

    # A password is not needed when nothing is loaded.
    assert load(if_empty=True, password=None) == (
        "No demo data loaded: there is content already.\n"
    )
    assert load(if_empty=True, verbosity=0) == ""
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_if_empty_loads_when_there_is_no_content() -> None:
    load(if_empty=True)

    assert Article.objects.count() == 12


@pytest.mark.django_db
def test_append_adds_rows_and_changes_no_existing_row() -> None:
    load()
    first = content()

    load(append=True)  # the same seed: every name and every slug is taken

    assert User.objects.count() == 16
    assert Article.objects.count() == 24
    assert Comment.objects.count() == 40
    assert not Counter(map(repr, first)) - Counter(map(repr, content()))


@pytest.mark.django_db
def test_append_does_not_change_an_existing_johndoe() -> None:
    john = make_user("JohnDoe")

    said = load(append=True)

    assert "johndoe was not added: the username or the e-mail was taken." in said
    assert User.objects.filter(username_folded="johndoe").get() == john
    john.refresh_from_db()
    assert not john.check_password(PASSWORD)
    assert not john.articles.exists()
    assert User.objects.get(username="editor").check_password(PASSWORD)


@pytest.mark.django_db
def test_a_failure_in_the_middle_leaves_no_rows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE articles_favorite ADD CONSTRAINT never CHECK (user_id < 0)")

    with pytest.raises(IntegrityError):
        load()

    assert is_empty()


@pytest.mark.django_db(transaction=True)
def test_an_interruption_leaves_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(model: type[Model], *rows: Any) -> None:
        copy(model, *rows)
        if model is Comment:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("articles.demo.publication.copy", interrupted)
    # SIGINT is ignored when a shell has started the tests in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(CommandError, match="Interrupted"):
            load()
    finally:
        signal.signal(signal.SIGINT, before)

    assert is_empty()


@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_simultaneous_runs_finds_the_content_of_the_first() -> None:
    barrier, said = threading.Barrier(2), []

    def start() -> None:
        try:
            barrier.wait()
            said.append(load(if_empty=True))
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(text.split()[0] for text in said) == ["8", "No"]
    assert Article.objects.count() == 12


@pytest.mark.django_db(transaction=True)
def test_it_has_no_statement_timeout() -> None:
    waiting = (
        "SELECT FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        " AND query_start < clock_timestamp() - interval '0.3 seconds'"
    )
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '0.1s'")

    with psycopg.connect(database_url(), autocommit=True) as other, ThreadPoolExecutor() as threads:
        other.execute("SELECT pg_advisory_lock(hashtext('demo_data'))")

        def unlock_when_blocked() -> None:
            try:
                wait_until(
                    lambda: other.execute(waiting).rowcount > 0, "the command waits for the lock"
                )
            finally:
                other.execute("SELECT pg_advisory_unlock_all()")

        released = threads.submit(unlock_when_blocked)
        load()
        released.result()

    connection.close()
    assert Article.objects.count() == 12


@pytest.mark.django_db
def test_the_default_password_is_refused_without_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)

    for password in (None, "conduit-demo"):
        with pytest.raises(CommandError, match="DEMO_PASSWORD"):
            load(password=password)

    assert is_empty()


@pytest.mark.django_db
def test_the_default_password_is_used_and_printed_with_debug(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # .env.example has an empty value, which is not a password.
    monkeypatch.setenv("DEMO_PASSWORD", "")
    settings.DEBUG = True
    told = "editor logs in to the API and /admin/: editor@example.com, password conduit-demo."

    assert told in load(password=None)
    assert told in load(password=None, if_empty=True)

    User.objects.get(username="editor").delete()
    assert told not in load(password=None, if_empty=True)

    assert User.objects.get(username="johndoe").check_password("conduit-demo")


@pytest.mark.django_db
def test_a_password_from_the_environment_is_used_and_not_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", PASSWORD)

    assert PASSWORD not in load(password=None)

    assert User.objects.get(username="editor").check_password(PASSWORD)


@pytest.mark.django_db
def test_a_short_password_is_refused() -> None:
    with pytest.raises(CommandError, match="too short"):
        load(password="short")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"articles": -1}, "--articles can't be negative"),
        ({"follows": -1}, "--follows can't be negative"),
        ({"users": 0}, "--users must be 2 or more"),
        ({"articles": 0}, "--comments need articles"),
        ({"favorites": 97}, "--favorites can't be more than 96"),
        ({"follows": 57}, "--follows can't be more than 56"),
        ({"until": "yesterday"}, "--until must be a time such as"),
        ({"until": "9000-01-01"}, "--until must be between"),
        ({"until": "0001-01-01"}, "--until must be between"),
    ],
)
def test_impossible_numbers_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        load(**options)


@pytest.mark.django_db
def test_users_without_articles_are_possible() -> None:
    load(articles=0, comments=0, favorites=0)

    assert User.objects.count() == 8
    assert not Article.objects.exists()


@pytest.mark.django_db
def test_progress_is_shown_only_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load()
    assert capsys.readouterr().err == ""

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    assert load(append=True, verbosity=0) == ""
    assert terminal.getvalue() == ""
    load(append=True)
    assert "20/20" in terminal.getvalue()


def test_every_placeholder_of_every_sentence_is_known() -> None:
    words = vocabulary()
    slots = ["topic", "doing", "subject", "place", "month", "friend", "years", "minutes", "five"]
    filled = dict.fromkeys([*slots, *map(str.capitalize, slots), "author", "fact"], "x")
    sentences = [text for kind in words.comments.values() for text in kind]
    for form in words.forms:
        sentences += form.titles + form.descriptions + form.openings + form.closings + form.bridges
    for subject in words.subjects:
        sentences += subject.scenes + subject.reflections + subject.remarks
        sentences += [title for topic in subject.topics for title in topic.titles]

    for sentence in sentences:
        assert "{" not in sentence.format_map(filled)


def test_more_than_990_of_1000_titles_are_different() -> None:
    rng, words = dice(1, "test"), vocabulary()
    people, writer = strangers(rng, words), Writer(rng, words)

    drafts = [writer.write(next(people), "May") for _ in range(1000)]

    assert len({draft.title for draft in drafts}) > 990
    assert len({draft.body for draft in drafts}) == 1000
    for draft in drafts:
        assert len(draft.title) <= 255
        assert len(draft.description) <= 1000
        assert draft.body.count("\n\n") >= 4
        assert draft.tags[0] in draft.topic.tags


def test_no_comment_is_repeated_on_an_article() -> None:
    rng, words = dice(1, "test"), vocabulary()
    people = strangers(rng, words)
    draft = Writer(rng, words).write(next(people), "May")
    thread = Thread(rng, words, draft, "May")

    said = [thread.say(next(people)) for _ in range(10)]

    assert len(set(said)) == 10
    assert "{" not in "".join(said)


def test_shares_have_the_right_sum_and_are_uneven() -> None:
    counts = shares(dice(1, "test"), total=5000, among=1000, at_most=100)

    assert sum(counts) == 5000
    assert max(counts) > 40
    assert sorted(counts)[500] < 5
    assert list(shares(dice(1, "test"), total=12, among=4, at_most=3)) == [3, 3, 3, 3]


def test_january_comes_after_december() -> None:
    calendar = Calendar(datetime(2026, 1, 1, tzinfo=UTC))

    assert calendar.month_before(730 * 86_400.0) == "December"
