"""The API treats hidden rows as deleted; a row that is shown again is unchanged."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from articles.models import Article, Comment
from tests.builders import follow, like, make_user, write_article, write_comment
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

LISTS = [
    "/api/articles",
    "/api/articles?offset=0&limit=5",
    "/api/articles?tag=shared",
    "/api/articles?author=alice",
    "/api/articles?favorited=charlie",
    "/api/articles?tag=shared&author=alice",
    "/api/articles?tag=shared&favorited=charlie",
    "/api/articles?author=alice&favorited=charlie",
    "/api/articles?tag=shared&author=alice&favorited=charlie",
    "/api/articles/feed",
    "/api/articles/feed?tag=shared",
    "/api/articles/feed?author=alice",
    "/api/articles/feed?favorited=charlie",
]
BODY = {"article": {"body": "Another"}}


@pytest.fixture
def shown(alice: User, bob: User, charlie: User) -> Article:
    """Another article of Alice with the same tag, which stays visible."""
    return _write_shared(alice, "The other", bob, charlie)


@pytest.fixture
def hidden(alice: User, bob: User, charlie: User, shown: Article) -> Article:
    return _write_shared(alice, "To be hidden", bob, charlie)


def _write_shared(alice: User, title: str, *readers: User) -> Article:
    article = write_article(alice, title=title, tags=("shared", title.lower()))
    for reader in readers:
        like(reader, article)
        write_comment(reader, article, body=f"{reader} on {title}")
    return article


def hide(*rows: Article | Comment | User) -> None:
    for row in rows:
        type(row).objects.filter(pk=row.pk).update(hidden_at=timezone.now())


def show(*rows: Article | Comment | User) -> None:
    for row in rows:
        type(row).objects.filter(pk=row.pk).update(hidden_at=None)


@pytest.mark.parametrize("path", LISTS)
def test_no_list_and_no_count_has_a_hidden_article(
    api: Api, bob: User, hidden: Article, path: str
) -> None:
    before = api(bob).get(path).json()
    hide(hidden)

    answer = api(bob).get(path).json()

    assert [article["title"] for article in answer["articles"]] == ["The other"]
    assert answer["articlesCount"] == 1
    show(hidden)
    assert api(bob).get(path).json() == before


@pytest.mark.parametrize("path", LISTS)
def test_no_list_and_no_count_has_an_article_of_a_hidden_user(
    api: Api, alice: User, bob: User, hidden: Article, path: str
) -> None:
    before = api(bob).get(path).json()
    assert before["articlesCount"] == 2
    hide(alice)

    assert api(bob).get(path).json() == {"articles": [], "articlesCount": 0}
    show(alice)
    assert api(bob).get(path).json() == before


@pytest.mark.parametrize("path", [path for path in LISTS if "offset" not in path])
def test_a_page_past_the_end_does_not_count_a_hidden_article(
    api: Api, bob: User, hidden: Article, path: str
) -> None:
    hide(hidden)

    answer = api(bob).get(path + ("&" if "?" in path else "?") + "offset=1").json()

    assert answer == {"articles": [], "articlesCount": 1}


def test_a_tag_of_only_hidden_articles_is_not_listed(api: Api, hidden: Article) -> None:
    hide(hidden)

    assert api().get("/api/tags").json() == {"tags": ["shared", "the other"]}


@pytest.mark.parametrize("by_author", [False, True])
def test_every_call_to_a_hidden_article_is_404(
    api: Api, alice: User, bob: User, hidden: Article, by_author: bool
) -> None:
    comment = hidden.comments.get(author=bob)
    hide(alice if by_author else hidden)
    path = f"/api/articles/{hidden.slug}"
    missing = {"errors": {"article": ["not found"]}}

    for client in (api(), api(bob), api(alice)):
        for answer in (client.get(path), client.get(f"{path}/comments")):
            assert (answer.status_code, answer.json()) == (404, missing)
    for answer in (
        api(alice).put(path, BODY),
        api(alice).delete(path),
        api(bob).post(f"{path}/favorite"),
        api(bob).delete(f"{path}/favorite"),
        api(bob).post(f"{path}/comments", {"comment": {"body": "Hello"}}),
        api(bob).delete(f"{path}/comments/{comment.pk}"),
    ):
        assert (answer.status_code, answer.json()) == (404, missing)
    hidden.refresh_from_db()
    assert hidden.body != "Another"
    assert hidden.comments.count() == hidden.favorites.count() == 2


def test_a_hidden_comment_is_not_listed_and_cannot_be_deleted(
    api: Api, bob: User, hidden: Article
) -> None:
    comment = hidden.comments.get(author=bob)
    hide(comment)
    path = f"/api/articles/{hidden.slug}/comments"

    bodies = [shown["body"] for shown in api().get(path).json()["comments"]]

    assert bodies == ["charlie on To be hidden"]
    answer = api(bob).delete(f"{path}/{comment.pk}")
    assert (answer.status_code, answer.json()) == (404, {"errors": {"comment": ["not found"]}})
    show(comment)
    assert len(api().get(path).json()["comments"]) == 2


def test_the_comments_of_a_hidden_user_are_not_listed(
    api: Api, charlie: User, hidden: Article
) -> None:
    hide(charlie)

    comments = api().get(f"/api/articles/{hidden.slug}/comments").json()["comments"]

    assert [comment["body"] for comment in comments] == ["bob on To be hidden"]


def test_a_hidden_user_has_no_profile_and_cannot_be_followed(
    api: Api, alice: User, bob: User
) -> None:
    hide(alice)

    for answer in (
        api().get("/api/profiles/alice"),
        api(bob).get("/api/profiles/alice"),
        api(bob).post("/api/profiles/alice/follow"),
        api(bob).delete("/api/profiles/alice/follow"),
    ):
        missing = (404, {"errors": {"profile": ["not found"]}})
        assert (answer.status_code, answer.json()) == missing
    show(alice)
    assert api(bob).get("/api/profiles/alice").json()["profile"]["following"] is True


def test_the_favorites_of_a_hidden_user_still_count(
    api: Api, charlie: User, shown: Article
) -> None:
    hide(charlie)

    article = api().get(f"/api/articles/{shown.slug}").json()["article"]

    assert article["favoritesCount"] == 2
    assert api().get("/api/articles?favorited=charlie").json()["articlesCount"] == 0


def test_a_new_article_does_not_get_the_slug_of_a_hidden_one(
    api: Api, bob: User, hidden: Article
) -> None:
    hide(hidden)
    body = {"article": {"title": hidden.title, "description": "Another", "body": "Another"}}

    slug = api(bob).post("/api/articles", body).json()["article"]["slug"]

    assert slug.startswith(f"{hidden.slug}-")


def test_an_article_written_by_a_hidden_user_counts_once_the_user_is_shown(
    api: Api, alice: User, bob: User
) -> None:
    dan = make_user("dan")
    follow(bob, dan)
    hide(dan)
    article = write_article(dan, tags=("new",))
    like(bob, article)

    assert api(bob).get("/api/articles").json()["articlesCount"] == 0
    assert api().get("/api/tags").json() == {"tags": []}
    show(dan)
    assert api(bob).get("/api/articles/feed").json()["articlesCount"] == 1
    assert api().get("/api/articles?favorited=bob").json()["articlesCount"] == 1
    assert api().get("/api/tags").json() == {"tags": ["new"]}
