"""The old slugs of an article redirect to its current slug."""

from collections.abc import Callable

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from articles.models import Article, Comment, Favorite, OldSlug
from tests.builders import write_article, write_comment
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

ARTICLES = "/api/articles"
NOT_FOUND = {"errors": {"article": ["not found"]}}
TEXTS = {"description": "What it is about", "body": "A text"}


def retitle(article: Article, *titles: str) -> list[str]:
    """Give the article these titles one after another; return all its slugs in this order."""
    slugs = [article.slug]
    for title in titles:
        article.title = title
        article.save()
        slugs.append(article.slug)
    return slugs


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_old_slug_redirects_to_the_new_one(api: Api, article: Article, method: str) -> None:
    old, new = retitle(article, "How to ride your dragon")

    response = api().generic(method, f"{ARTICLES}/{old}")

    assert response.status_code == 301
    assert response.headers["Location"] == f"{ARTICLES}/{new}"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.content == b""


def test_a_client_that_follows_redirects_reads_the_article(
    api: Api, article: Article, bob: User
) -> None:
    comment = write_comment(bob, article)
    old, new = retitle(article, "How to ride your dragon")
    reader = api(bob)

    shown = reader.get(reader.get(f"{ARTICLES}/{old}")["Location"]).json()["article"]
    comments = reader.get(reader.get(f"{ARTICLES}/{old}/comments")["Location"]).json()["comments"]

    assert (shown["slug"], shown["author"]["following"]) == (new, True)
    assert [shown["id"] for shown in comments] == [comment.pk]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("?limit=5", "?limit=5"),
        ("?limit=5&offset=10&limit=7", "?limit=5&offset=10&limit=7"),
        ("?a=%C3%A4+b%20c&%0d%0aX:%20y=", "?a=%C3%A4+b%20c&%0d%0aX:%20y="),
        ("?a[]=b/c?d", "?a[]=b/c?d"),
        ("?a=ä", "?a=%C3%A4"),
        ('?a="<b>"', "?a=%22%3Cb%3E%22"),
        ("?limit=0", "?limit=0"),
        ("?", ""),
    ],
)
def test_the_comments_redirect_with_their_query_string(
    api: Api, article: Article, method: str, query: str, kept: str
) -> None:
    old, new = retitle(article, "How to ride your dragon")

    response = api().generic(method, f"{ARTICLES}/{old}/comments{query}")

    assert response.status_code == 301
    assert response.headers["Location"] == f"{ARTICLES}/{new}/comments{kept}"
    assert response.headers["Cache-Control"] == "no-cache"


def test_every_old_slug_redirects_to_the_latest_slug(api: Api, article: Article) -> None:
    *old, latest = retitle(article, "Second title", "日本語", "Fourth title")

    for slug in old:
        response = api().get(f"{ARTICLES}/{slug}")
        assert (response.status_code, response["Location"]) == (301, f"{ARTICLES}/{latest}")


def test_an_old_title_that_is_used_again_makes_no_redirect_loop(api: Api, alice: User) -> None:
    article = write_article(alice, title="A")

    for title, other in (("B", "a"), ("A", "b"), ("B", "a"), ("A", "b")):
        retitle(article, title)

        assert article.slug == title.lower()
        assert api().get(f"{ARTICLES}/{article.slug}").status_code == 200
        response = api().get(f"{ARTICLES}/{other}")
        assert (response.status_code, response["Location"]) == (301, f"{ARTICLES}/{article.slug}")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", {"article": {"body": "New"}}),
        ("DELETE", "", {}),
        ("POST", "/favorite", {}),
        ("DELETE", "/favorite", {}),
        ("POST", "/comments", {"comment": {"body": "Hello"}}),
        ("DELETE", "/comments/{comment}", {}),
    ],
)
def test_writes_to_an_old_slug_are_404(
    api: Api, article: Article, alice: User, method: str, path: str, body: dict[str, object]
) -> None:
    comment = write_comment(alice, article)
    old, _ = retitle(article, "How to ride your dragon")
    path = path.format(comment=comment.pk)

    client = api(alice)
    response = {"PUT": client.put, "POST": client.post, "DELETE": client.delete}[method](
        f"{ARTICLES}/{old}{path}", body
    )

    assert response.status_code == 404
    assert response.json() == NOT_FOUND
    assert Comment.objects.count() == 1
    assert not Favorite.objects.exists()


@pytest.mark.parametrize("path", ["/favorite", "/comments/1"])
def test_a_path_without_get_does_not_redirect(
    api: Api, article: Article, charlie: User, path: str
) -> None:
    old, _ = retitle(article, "How to ride your dragon")

    assert api(charlie).get(f"{ARTICLES}/{old}{path}").status_code == 405


def test_a_page_from_another_origin_may_follow_the_redirect(api: Api, article: Article) -> None:
    old, new = retitle(article, "How to ride your dragon")

    page = api(headers={"Origin": "https://front.example"})

    found, moved = (page.get(f"{ARTICLES}/{slug}").headers for slug in (new, old))

    for name in ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary"):
        assert moved[name] == found[name]
    assert {"Link", "Location"} <= {*moved["Access-Control-Expose-Headers"].split(", ")}


def test_a_new_article_never_gets_an_old_slug(api: Api, article: Article, bob: User) -> None:
    title = article.title
    old, new = retitle(article, "How to ride your dragon")

    response = api(bob).post(ARTICLES, {"article": {"title": title, **TEXTS}})

    assert response.status_code == 201
    assert response.json()["article"]["slug"].startswith(f"{old}-")
    assert api().get(f"{ARTICLES}/{old}")["Location"] == f"{ARTICLES}/{new}"


def test_a_new_title_never_gets_an_old_slug_of_another_article(
    api: Api, article: Article, bob: User
) -> None:
    title = article.title
    old, new = retitle(article, "How to ride your dragon")
    other = write_article(bob)

    response = api(bob).put(f"{ARTICLES}/{other.slug}", {"article": {"title": title}})

    assert response.status_code == 200
    assert response.json()["article"]["slug"].startswith(f"{old}-")
    assert api().get(f"{ARTICLES}/{old}")["Location"] == f"{ARTICLES}/{new}"


def test_a_current_slug_wins_over_an_old_one(api: Api, article: Article, alice: User) -> None:
    other = write_article(alice)
    OldSlug.objects.create(slug=article.slug, article=other)

    assert api().get(f"{ARTICLES}/{article.slug}").json()["article"]["title"] == article.title
    # The title of the article can still change.
    old, new = retitle(article, "How to ride your dragon")
    assert api().get(f"{ARTICLES}/{old}")["Location"] == f"{ARTICLES}/{new}"


def test_a_deleted_article_is_404_under_every_slug(api: Api, article: Article, alice: User) -> None:
    slugs = retitle(article, "Second title", "Third title")

    assert api(alice).delete(f"{ARTICLES}/{slugs[-1]}").status_code == 204

    for path in [*slugs, *(f"{slug}/comments" for slug in slugs)]:
        response = api().get(f"{ARTICLES}/{path}")
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
    assert not OldSlug.objects.exists()


def test_a_slug_changed_by_sql_leaves_a_redirect_too(api: Api, article: Article) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE articles_article SET slug = 'by-hand'")

    response = api().get(f"{ARTICLES}/{article.slug}")

    assert (response.status_code, response["Location"]) == (301, f"{ARTICLES}/by-hand")


@pytest.mark.parametrize("path", ["nothing-of-the-kind", "a%00b", "%FF", "x" * 1000])
@pytest.mark.parametrize("below", ["", "/comments", "/comments?limit=0"])
def test_an_unknown_slug_is_404(api: Api, article: Article, path: str, below: str) -> None:
    retitle(article, "How to ride your dragon")

    response = api().get(f"{ARTICLES}/{path}{below}")

    assert (response.status_code, response.json()) == (404, NOT_FOUND)


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("{new}", 1),  # the article
        ("{new}/comments", 1),  # the comments
        ("{old}", 2),  # no article, the new slug
        ("{old}/comments", 3),  # no comments, no article, the new slug
        ("unknown", 2),  # no article, no new slug
    ],
)
def test_old_slugs_are_read_only_when_no_article_has_the_slug(
    api: Api,
    article: Article,
    bob: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    path: str,
    queries: int,
) -> None:
    write_comment(bob, article)
    old, new = retitle(article, "How to ride your dragon")

    with django_assert_num_queries(queries):
        api().get(f"{ARTICLES}/{path.format(old=old, new=new)}")
