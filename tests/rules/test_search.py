"""Full-text search: what is found, and that triggers keep the words for every way to write."""

from io import StringIO
from random import Random
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from articles.demo.tables import copy
from articles.models import BODY_LENGTH, Article, Comment
from tests.builders import write_article, write_comment
from users.models import User

pytestmark = pytest.mark.django_db

RIGHT = "The words of all articles and comments are correct.\n"


def execute(statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def verify(*options: str) -> str:
    output = StringIO()
    call_command("verify_search", *options, stdout=output)
    return output.getvalue()


def found(text: str) -> list[str]:
    return [article.title for article in Article.objects.matching(text).newest_first()]


@pytest.fixture
def articles(alice: User) -> list[Article]:
    return [
        write_article(alice, title="Dragons of Bohemia", description="A tour", body="Prague first"),
        write_article(
            alice, title="Cooking for one", description="Soup", body="No dragon, no fire"
        ),
        write_article(alice, title="Čeština", description="日本語の本", body="don't snake_case"),
    ]


def test_a_search_skips_large_gaps_between_ids(alice: User) -> None:
    near = write_article(alice, title="Near", body="mammoth")
    far = write_article(alice, title="Far", body="mammoth")
    execute("UPDATE articles_article SET id = %s WHERE id = %s", (2**62, far.pk))
    execute("SET LOCAL statement_timeout = '2s'")

    assert {*found("mammoth")} == {near.title, far.title}


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("dragon", ["Cooking for one", "Dragons of Bohemia"]),
        ("DRAG", ["Dragons of Bohemia"]),
        ("dragons", ["Dragons of Bohemia"]),
        ("fire", ["Cooking for one"]),
        ("fir", []),
        ("prague tour", ["Dragons of Bohemia"]),
        ("soup prague", []),
        ("čeština", ["Čeština"]),
        ("ČEŠ", ["Čeština"]),
        ("日本", ["Čeština"]),
        ("日中", []),
        ("snake_case", ["Čeština"]),
        ("don't", ["Čeština"]),
        ("#0", []),
        ("~dra", ["Dragons of Bohemia"]),
        ("", []),
        ("!& |():*<->\\'\"", []),
        ("\0", []),
        ("fire\0", ["Cooking for one"]),
        ("fire " * 10_000, ["Cooking for one"]),
    ],
)
def test_articles_are_found_by_all_words(
    articles: list[Article], text: str, titles: list[str]
) -> None:
    assert found(text) == titles


def test_comments_are_found_by_all_words(article: Article, bob: User) -> None:
    comment = write_comment(bob, article, body="A Dragon is here")
    write_comment(bob, article, body="Dragons are here")

    assert [*Comment.objects.matching("here dragon")] == [comment]


def test_visible_rows_exclude_hidden_ones(articles: list[Article]) -> None:
    Article.objects.filter(pk=articles[0].pk).update(hidden_at="2026-01-01T00:00Z")

    assert found("prague") == ["Dragons of Bohemia"]
    assert not Article.objects.visible().matching("prague").exists()


def test_every_way_to_write_keeps_the_words(articles: list[Article], alice: User) -> None:
    comment = write_comment(alice, articles[0], body="first remark")

    Article.objects.filter(pk=articles[0].pk).update(body="Vienna")
    Comment.objects.filter(pk=comment.pk).update(body="second remark")
    assert (found("prague"), found("vienna")) == ([], ["Dragons of Bohemia"])
    assert [*Comment.objects.matching("second")] == [comment]
    assert not Comment.objects.matching("first").exists()

    execute("UPDATE articles_article SET id = -id WHERE id = %s", (articles[1].pk,))
    assert found("fire") == []  # ids are positive
    execute("UPDATE articles_article SET id = -id WHERE id < 0")
    assert found("fire") == ["Cooking for one"]

    copied = [alice, articles[0], "copied", comment.created_at, comment.created_at]
    copy(Comment, ("author", "article", "body", "created_at", "updated_at"), [
        [value.pk if isinstance(value, User | Article) else value for value in copied]
    ])  # fmt: skip
    assert Comment.objects.matching("copied").exists()
    assert verify() == RIGHT

    User.objects.filter(pk=alice.pk).delete()
    assert (
        execute("SELECT id FROM articles_articletext UNION SELECT id FROM articles_commenttext")
        == []
    )


def test_truncate_deletes_the_words(articles: list[Article]) -> None:
    execute("TRUNCATE articles_article CASCADE")

    assert execute("SELECT id FROM articles_articletext") == []


def test_a_write_of_other_columns_does_not_write_the_words(articles: list[Article]) -> None:
    stored = execute("SELECT id, ctid FROM articles_articletext ORDER BY id")

    articles[0].tags.create(name="tour")
    Article.objects.update(hidden_at="2026-01-01T00:00Z")
    for article in articles:
        article.save()

    assert execute("SELECT id, ctid FROM articles_articletext ORDER BY id") == stored


def random_text() -> str:
    chance = Random(1)  # noqa: S311 -- no secret
    points = [*range(1, 0xD800), *range(0xE000, 0x110000)]
    return "".join(map(chr, chance.choices(points, k=BODY_LENGTH)))


@pytest.mark.parametrize(
    "text",
    [
        random_text(),
        "x" * BODY_LENGTH,
        "語" * BODY_LENGTH,
        "\U0001f600" * BODY_LENGTH,
        "\u0301" * BODY_LENGTH,
        "İ" * BODY_LENGTH,
        "a " * (BODY_LENGTH // 2),
        " ".join(map(str, range(30_000))),
    ],
    ids=["random", "word", "cjk", "emoji", "marks", "dotted", "letters", "numbers"],
)
def test_any_text_can_be_saved(article: Article, text: str) -> None:
    article.body = text
    article.save()
    write_comment(article.author, article, body=text[:10_000])

    assert verify() == RIGHT


# PostgreSQL's parser alone needs seconds for each: it looks for URLs, tags and file names.
@pytest.mark.parametrize("part", ["a_", "~/", "a-", "<a ", "http://a.b/", "a@b.", "1e-"])
def test_no_text_is_slow_to_split(db: None, part: str) -> None:
    seconds = """
        SELECT extract(epoch FROM clock_timestamp() - statement_timestamp())::float
        FROM (SELECT article_words(1, 'a', 'b', repeat(%s, 20000)) OFFSET 0) AS words
        WHERE words IS NOT NULL
    """
    assert min(execute(seconds, (part,))[0][0] for _ in range(3)) < 0.3


def test_the_newest_matches_are_found_without_reading_all(alice: User) -> None:
    for article_id in (5, 30_000, 40_000, 100_000, 200_000):
        write_article(alice, id=article_id, title="common")

    def newest(enough: int) -> list[int]:
        statement = "SELECT newest_matches('articles_articletext', 'common', %s)"
        return sorted((row_id for (row_id,) in execute(statement, (enough,))), reverse=True)

    assert newest(1) == [200_000]
    assert newest(4) == [200_000, 100_000, 40_000, 30_000]
    assert newest(9) == [200_000, 100_000, 40_000, 30_000, 5]


def test_wrong_words_are_found_and_repaired(articles: list[Article], bob: User) -> None:
    comment = write_comment(bob, articles[0])
    execute("UPDATE articles_articletext SET words = 'wrong' WHERE id = %s", (articles[0].pk,))
    execute("DELETE FROM articles_articletext WHERE id = %s", (articles[1].pk,))
    execute("INSERT INTO articles_articletext VALUES (%s, 'orphan')", (articles[2].pk + 9_000,))
    execute("UPDATE articles_commenttext SET words = ''")
    output = StringIO()

    with pytest.raises(CommandError):
        call_command("verify_search", stdout=output)

    assert output.getvalue().splitlines() == [
        f"words of articles: 3 wrong, for example id {articles[0].pk}.",
        f"words of comments: 1 wrong, for example id {comment.pk}.",
    ]
    assert "words of articles: 3 corrected" in verify("--repair")
    assert verify() == RIGHT
