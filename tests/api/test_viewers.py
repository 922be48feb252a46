"""Public reads with a token: the user of the token is loaded together with the rows."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from articles.models import Article, Comment
from tests.api.test_authentication import BAD_TOKEN, INVALID, claims, optional, sign
from tests.api.test_caching import vary_names
from tests.builders import like, make_user, write_article, write_comment
from tests.client import ApiClient
from tests.processes import database_url
from users.models import User

Api = Callable[..., ApiClient]

FEED = "/api/articles/feed"
FAILED = [
    ("/api/articles?limit=0", 422),
    ("/api/articles/how-to-train-your-dragon/comments?limit=0", 422),
    ("/api/articles/nothing", 404),
    ("/api/articles/nothing/comments", 404),
    ("/api/articles/nothing/comments?limit=0", 404),
    ("/api/profiles/nobody", 404),
    ("/api/profiles/%00", 404),
]


@pytest.fixture
def comment(article: Article) -> Comment:
    return write_comment(article.author, article)


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def delete(user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


def end_tokens(user: User) -> None:
    User.objects.filter(pk=user.pk).update(token_generation=user.token_generation + 1)


ENDINGS = [deactivate, delete, end_tokens]
each_ending = pytest.mark.parametrize("end", ENDINGS)


@optional
def test_a_viewer_sees_what_depends_on_the_viewer(
    api: Api, comment: Comment, bob: User, charlie: User, path: str
) -> None:
    like(bob, comment.article)

    seen = [api(user).get(path).text for user in (bob, charlie)]

    assert ['"following":true' in text for text in seen] == [True, False]
    if '"favorited"' in seen[0]:
        assert ['"favorited":true' in text for text in seen] == [True, False]


@optional
@each_ending
def test_a_token_of_nobody_shows_what_everybody_sees(
    api: Api, comment: Comment, bob: User, path: str, end: Callable[[User], None]
) -> None:
    like(bob, comment.article)
    client = api(bob)
    assert '"following":true' in client.get(path).text
    end(bob)

    response = client.get(path)

    assert response.status_code == 200
    assert response.json() == api().get(path).json()
    assert response.headers["WWW-Authenticate"] == BAD_TOKEN
    assert vary_names(response) == ["authorization", "origin"]
    assert "Cache-Control" not in response.headers
    assert response.wsgi_request.user.pk is None


@each_ending
def test_a_feed_refuses_a_token_of_nobody(
    api: Api, article: Article, bob: User, end: Callable[[User], None]
) -> None:
    client = api(bob)
    end(bob)

    for path in (FEED, f"{FEED}?limit=0"):
        response = client.get(path)
        assert (response.status_code, response.json()) == (401, INVALID)


@pytest.mark.parametrize("user_id", [0, -1, -(2**64), 2**63 - 1, 2**63, 10**40])
@optional
def test_an_id_of_no_user_shows_what_everybody_sees(
    api: Api, comment: Comment, path: str, user_id: int
) -> None:
    token = sign(claims(comment.author, sub=str(user_id), exp=int(time.time()) + 60))

    response = api(headers={"Authorization": f"Token {token}"}).get(path)

    assert response.status_code == 200
    assert response.json() == api().get(path).json()
    assert response.headers["WWW-Authenticate"] == BAD_TOKEN


@optional
def test_a_read_knows_its_user_for_the_access_log(
    api: Api, comment: Comment, bob: User, path: str
) -> None:
    assert api(bob).get(path).wsgi_request.user == bob
    assert api(bob).head(path).wsgi_request.user == bob
    assert api().get(path).wsgi_request.user.pk is None


@pytest.mark.parametrize(("path", "status"), FAILED)
def test_a_failed_read_is_private_and_knows_its_user_too(
    api: Api, article: Article, bob: User, path: str, status: int
) -> None:
    response = api(bob).get(path)

    assert response.status_code == status
    assert response.json() == api().get(path).json()
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert vary_names(response) == ["authorization", "origin"]
    assert response.wsgi_request.user == bob


@pytest.mark.parametrize(("path", "status"), FAILED)
@each_ending
def test_a_failed_read_with_a_token_of_nobody_has_the_challenge(
    api: Api, article: Article, bob: User, path: str, status: int, end: Callable[[User], None]
) -> None:
    client = api(bob)
    end(bob)

    response = client.get(path)

    assert response.status_code == status
    assert response.json() == api().get(path).json()
    assert response.headers["WWW-Authenticate"] == BAD_TOKEN
    assert "Cache-Control" not in response.headers


@pytest.mark.parametrize("path", ["/api/articles/old", "/api/articles/old/comments"])
def test_an_old_slug_redirects_with_any_token(api: Api, alice: User, bob: User, path: str) -> None:
    article = write_article(alice, title="Old")
    article.title = "New"
    article.save()
    client = api(bob)
    private = {"Vary": "Authorization", "user": bob.pk}

    for end in (None, *ENDINGS):
        if end is not None:
            end(bob)
            private["user"] = None
        response = client.get(path)
        assert response.status_code == 301
        assert response.headers["Location"] == path.replace("old", "new")
        assert "authorization" in vary_names(response)
        assert response.wsgi_request.user.pk == private["user"]


@optional
def test_a_token_costs_one_query_and_an_ended_token_two(
    api: Api, comment: Comment, bob: User, path: str, django_assert_num_queries: Callable[..., Any]
) -> None:
    client = api(bob)
    client.get(path)
    with django_assert_num_queries(1):  # the rows
        api().get(path)
    with django_assert_num_queries(2):  # the rows, the user
        client.get(path)
    end_tokens(bob)
    with django_assert_num_queries(3):  # the rows for the viewer, the user, the rows for everybody
        client.get(path)


def test_the_feed_reads_its_rows_before_the_user_and_in_the_same_round_trip(
    api: Api, bob: User
) -> None:
    client = api(bob)
    with CaptureQueriesContext(connection) as queries:
        client.get(FEED)

    rows, user = [query["sql"] for query in queries]
    assert "profiles_follow" in rows
    assert "is_active" in user


@pytest.mark.django_db(transaction=True)
def test_a_read_that_takes_too_long_is_private(api: Api) -> None:
    bob = make_user("bob")
    client = api(bob)
    assert client.get("/api/articles").status_code == 200
    with psycopg.connect(database_url()) as other, connection.cursor() as cursor:
        other.execute("LOCK TABLE articles_article")
        cursor.execute("SET statement_timeout = 100")
        response = client.get("/api/articles")
        cursor.execute("SET statement_timeout = 10000")

    assert response.status_code == 504
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert client.get("/api/articles").status_code == 200
