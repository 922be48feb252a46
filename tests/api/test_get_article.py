from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pytest_django import DjangoAssertNumQueries

from articles.models import Article
from tests.builders import follow, like, make_user, write_article
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

NOT_FOUND = {"errors": {"article": ["not found"]}}

# Every route of an article, as a method and the path after the slug.
ROUTES = [
    ("GET", ""),
    ("PUT", ""),
    ("DELETE", ""),
    ("POST", "/favorite"),
    ("DELETE", "/favorite"),
    ("GET", "/comments"),
    ("POST", "/comments"),
    ("DELETE", "/comments/1"),
]


def test_it_shows_the_whole_article_to_anybody(api: Api, alice: User) -> None:
    alice.bio, alice.image = "I write.", "https://example.com/alice.png"
    alice.save()
    article = write_article(
        alice,
        title="How to train your dragon",
        description="Ever wonder how?",
        body="It takes a Jacobian",
        tags=("training", "dragons"),
        created_at=datetime(2016, 2, 18, 3, 22, 56, 637_000, tzinfo=UTC),
    )
    updated_at = datetime(2016, 2, 18, 3, 48, 35, 824_000, tzinfo=UTC)
    Article.objects.filter(pk=article.pk).update(updated_at=updated_at)

    response = api().get(f"/api/articles/{article.slug}")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {
        "article": {
            "slug": article.slug,
            "title": "How to train your dragon",
            "description": "Ever wonder how?",
            "body": "It takes a Jacobian",
            "tagList": ["dragons", "training"],
            "createdAt": "2016-02-18T03:22:56.637Z",
            "updatedAt": "2016-02-18T03:48:35.824Z",
            "favorited": False,
            "favoritesCount": 0,
            "author": {
                "username": "alice",
                "bio": "I write.",
                "image": "https://example.com/alice.png",
                "following": False,
            },
        }
    }


def test_it_shows_null_for_empty_fields(api: Api, article: Article) -> None:
    shown = api().get(f"/api/articles/{article.slug}").json()["article"]

    assert shown["author"] == {
        "username": "alice",
        "bio": None,
        "image": None,
        "following": False,
    }


def test_it_shows_an_article_without_tags(api: Api, alice: User) -> None:
    article = write_article(alice)

    assert api().get(f"/api/articles/{article.slug}").json()["article"]["tagList"] == []


def test_it_shows_what_the_viewer_favorited_and_follows(
    api: Api, article: Article, bob: User, charlie: User
) -> None:
    like(bob, article)
    like(charlie, article)

    shown = api(bob).get(f"/api/articles/{article.slug}").json()["article"]

    assert shown["favorited"] is True
    assert shown["favoritesCount"] == 2
    assert shown["author"]["following"] is True


def test_favorites_and_follows_of_others_do_not_count_as_the_viewers(
    api: Api, article: Article, alice: User, bob: User, charlie: User
) -> None:
    like(bob, article)

    for viewer in (None, alice, charlie):
        shown = api(viewer).get(f"/api/articles/{article.slug}").json()["article"]

        assert shown["favorited"] is False
        assert shown["favoritesCount"] == 1
        assert shown["author"]["following"] is False


def test_being_followed_is_not_following(
    api: Api, article: Article, alice: User, charlie: User
) -> None:
    follow(alice, charlie)

    shown = api(charlie).get(f"/api/articles/{article.slug}").json()["article"]

    assert shown["author"]["following"] is False


def test_a_favorite_of_another_article_does_not_count(
    api: Api, article: Article, alice: User, bob: User
) -> None:
    like(bob, write_article(alice))

    shown = api(bob).get(f"/api/articles/{article.slug}").json()["article"]

    assert shown["favorited"] is False
    assert shown["favoritesCount"] == 0


def test_tags_do_not_multiply_the_favorites_count(api: Api, alice: User) -> None:
    article = write_article(alice, tags=("a", "b", "c"))
    for number in range(5):
        like(make_user(f"reader{number}"), article)

    shown = api().get(f"/api/articles/{article.slug}").json()["article"]

    assert shown["favoritesCount"] == 5
    assert shown["tagList"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("created_at", "shown"),
    [
        (datetime(2016, 2, 18, 3, 22, 56, tzinfo=UTC), "2016-02-18T03:22:56.000Z"),
        (datetime(2016, 2, 18, 3, 22, 56, 600_000, tzinfo=UTC), "2016-02-18T03:22:56.600Z"),
        (datetime(2016, 2, 18, 3, 22, 56, 7_000, tzinfo=UTC), "2016-02-18T03:22:56.007Z"),
        (
            datetime(2016, 2, 18, 1, 0, 0, tzinfo=timezone(timedelta(hours=2))),
            "2016-02-17T23:00:00.000Z",
        ),
    ],
)
def test_timestamps_are_utc_and_always_have_milliseconds(
    api: Api, alice: User, created_at: datetime, shown: str
) -> None:
    article = write_article(alice, created_at=created_at)

    answer = api().get(f"/api/articles/{article.slug}").json()["article"]

    assert answer["createdAt"] == shown
    assert answer["updatedAt"] == shown


def test_created_at_is_the_same_string_in_every_answer(api: Api, alice: User, bob: User) -> None:
    content = {"title": "When?", "description": "A question", "body": "Now."}
    answers = [api(alice).post("/api/articles", {"article": content}).json()["article"]]
    path = f"/api/articles/{answers[0]['slug']}"

    answers += [
        api().get(path).json()["article"],
        api(bob).get(path).json()["article"],
        api().get("/api/articles").json()["articles"][0],
        api(bob).get("/api/articles/feed").json()["articles"][0],
        api(bob).post(f"{path}/favorite").json()["article"],
        api(bob).delete(f"{path}/favorite").json()["article"],
        api(alice).put(path, {"article": {"body": "Later."}}).json()["article"],
    ]

    assert len({answer["createdAt"] for answer in answers}) == 1


def test_html_is_stored_unchanged(api: Api, alice: User) -> None:
    html = "<script>alert('&amp;')</script> <b>bold</b> & \"quoted\""
    alice.bio = html
    alice.save()
    article = write_article(alice, title=html, description=html, body=html)

    shown = api().get(f"/api/articles/{article.slug}").json()["article"]

    assert shown["title"] == shown["description"] == shown["body"] == html
    assert shown["author"]["bio"] == html


def test_it_does_not_find_an_unknown_slug(api: Api, article: Article) -> None:
    response = api().get("/api/articles/nothing-of-the-kind")

    assert response.status_code == 404
    assert response.json() == NOT_FOUND


@pytest.mark.parametrize(
    "slug",
    [
        "%00",
        "how-to%00",
        "%25",
        "100%25",
        "%",
        "%FF",
        "'; DROP TABLE articles_article; --",
        "日本語",
        "a.b",
        "how-to-train-your-dragon%20",
        "x" * 300,
        "x" * 10_000,
    ],
)
@pytest.mark.parametrize(("method", "below"), ROUTES)
def test_no_route_finds_a_slug_that_no_article_can_have(
    api: Api, alice: User, article: Article, method: str, below: str, slug: str
) -> None:
    path = f"/api/articles/{slug}{below}"

    response = api(alice).generic(method, path, b"{", content_type="application/json")

    assert response.status_code == 404
    assert response.json() == NOT_FOUND


@pytest.mark.parametrize(("method", "below"), ROUTES)
def test_a_bad_token_is_refused_before_404_on_private_routes(
    api: Api, db: None, method: str, below: str
) -> None:
    stranger = api(headers={"Authorization": "Token garbage"})

    response = stranger.generic(method, f"/api/articles/nothing{below}", b"{")

    if method == "GET":
        assert response.status_code == 404
    else:
        assert response.status_code == 401
        assert response.json() == {"errors": {"token": ["is invalid"]}}


@pytest.mark.parametrize(("method", "below"), ROUTES)
def test_no_route_has_a_trailing_slash(
    api: Api, alice: User, article: Article, method: str, below: str
) -> None:
    path = f"/api/articles/{article.slug}{below}/"

    response = api(alice).generic(method, path, b"{}", content_type="application/json")

    assert response.status_code == 404
    assert [*response.json()] == ["errors"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_other_methods_are_not_allowed(
    api: Api, alice: User, article: Article, method: str
) -> None:
    path = f"/api/articles/{article.slug}"

    response = api(alice).generic(method, path, b"{}", content_type="application/json")

    assert response.status_code == 405
    assert [*response.json()] == ["errors"]


def test_it_runs_one_query(
    api: Api, article: Article, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):  # the article
        api().get(f"/api/articles/{article.slug}")


def test_it_runs_one_query_with_20_tags_and_favorites(
    api: Api, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    article = write_article(alice, tags=tuple(f"tag{number}" for number in range(20)))
    for number in range(20):
        like(make_user(f"reader{number}"), article)

    with django_assert_num_queries(1):  # the article
        shown = api().get(f"/api/articles/{article.slug}").json()["article"]

    assert (len(shown["tagList"]), shown["favoritesCount"]) == (20, 20)


def test_it_runs_two_queries_with_a_token(
    api: Api, article: Article, bob: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    like(bob, article)

    with django_assert_num_queries(2):  # the user behind the token, the article
        api(bob).get(f"/api/articles/{article.slug}")
