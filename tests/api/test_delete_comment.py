from collections.abc import Callable

import pytest

from articles.models import Article, Comment
from tests.builders import write_article, write_comment
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

ARTICLE_NOT_FOUND = {"errors": {"article": ["not found"]}}
COMMENT_NOT_FOUND = {"errors": {"comment": ["not found"]}}


@pytest.fixture
def comment(article: Article, bob: User) -> Comment:
    return write_comment(bob, article)


def path_of(comment: Comment) -> str:
    return f"/api/articles/{comment.article.slug}/comments/{comment.pk}"


def test_it_deletes_a_comment(api: Api, article: Article, bob: User, comment: Comment) -> None:
    other = write_comment(bob, article)

    response = api(bob).delete(path_of(comment))

    assert response.status_code == 204
    assert response.content == b""
    shown = api().get(f"/api/articles/{article.slug}/comments").json()["comments"]
    assert [comment["id"] for comment in shown] == [other.pk]


def test_a_second_delete_is_404(api: Api, bob: User, comment: Comment) -> None:
    path = path_of(comment)
    api(bob).delete(path)

    response = api(bob).delete(path)

    assert response.status_code == 404
    assert response.json() == COMMENT_NOT_FOUND


def test_charlie_cannot_delete_it(api: Api, charlie: User, comment: Comment) -> None:
    response = api(charlie).delete(path_of(comment))

    assert response.status_code == 403
    assert response.json() == {"errors": {"comment": ["forbidden"]}}
    assert Comment.objects.count() == 1


def test_the_author_of_the_article_cannot_delete_it_either(
    api: Api, alice: User, comment: Comment
) -> None:
    response = api(alice).delete(path_of(comment))

    assert response.status_code == 403
    assert response.json() == {"errors": {"comment": ["forbidden"]}}
    assert Comment.objects.count() == 1


@pytest.mark.parametrize(
    "pk",
    [
        "0",
        "-1",
        "999999999",
        str(2**31),
        str(2**63 - 1),
        str(2**63),
        str(2**64),
        str(10**20),
        str(-(2**63) - 1),
        "9" * 5_000,
        "0" * 5_000,
        "abc",
        "1.5",
        "1e3",
        "1_0",
        "\uff11",  # a fullwidth digit
        "%00",
        "1%00",
        "%25",
        "%FF",
        "%20",
        "None",
        "' OR 1=1 --",
    ],
)
def test_it_does_not_find_an_id_that_no_comment_has(
    api: Api, article: Article, bob: User, comment: Comment, pk: str
) -> None:
    response = api(bob).delete(f"/api/articles/{article.slug}/comments/{pk}")

    assert response.status_code == 404
    assert response.json() == COMMENT_NOT_FOUND
    assert Comment.objects.count() == 1


@pytest.mark.parametrize(
    "spelling",
    [
        *("{}.0", "-{}", "{}e0", "{}%00"),
        # int() accepts these; the last begins with a fullwidth zero.
        *("+{}", "%20{}", "{}%20", "{}%0A", "0_{}", "\uff10{}"),
    ],
)
def test_it_does_not_find_another_spelling_of_the_id(
    api: Api, article: Article, bob: User, comment: Comment, spelling: str
) -> None:
    path = f"/api/articles/{article.slug}/comments/{spelling.format(comment.pk)}"

    response = api(bob).delete(path)

    assert response.status_code == 404
    assert response.json() == COMMENT_NOT_FOUND
    assert Comment.objects.count() == 1


def test_it_does_not_find_a_comment_of_another_article(
    api: Api, alice: User, bob: User, charlie: User, comment: Comment
) -> None:
    other = write_article(alice)

    for writer in (bob, charlie):  # 404 comes before 403
        response = api(writer).delete(f"/api/articles/{other.slug}/comments/{comment.pk}")

        assert response.status_code == 404
        assert response.json() == COMMENT_NOT_FOUND
    assert Comment.objects.count() == 1


@pytest.mark.parametrize("pk", ["", "0", "abc"])
def test_an_unknown_article_is_reported_before_the_comment(
    api: Api, bob: User, comment: Comment, pk: str
) -> None:
    path = f"/api/articles/nothing-of-the-kind/comments/{pk or comment.pk}"

    response = api(bob).delete(path)

    assert response.status_code == 404
    assert response.json() == ARTICLE_NOT_FOUND


@pytest.mark.parametrize("pk", ["", "0", "abc"])
@pytest.mark.parametrize("slug", ["how-to-train-your-dragon", "nothing-of-the-kind"])
def test_it_checks_the_token_first(api: Api, comment: Comment, slug: str, pk: str) -> None:
    response = api().delete(f"/api/articles/{slug}/comments/{pk or comment.pk}")

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}
    assert Comment.objects.count() == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "POST"])
def test_other_methods_are_not_allowed(api: Api, bob: User, comment: Comment, method: str) -> None:
    body = b'{"comment": {"body": "New"}}'

    response = api(bob).generic(method, path_of(comment), body, content_type="application/json")

    assert response.status_code == 405
    assert [*response.json()] == ["errors"]
