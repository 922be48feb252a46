from collections.abc import Callable

from articles.models import Article, Comment, Favorite, Tagging
from tests.builders import like, write_article, write_comment
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

NOT_FOUND = {"errors": {"article": ["not found"]}}


def test_it_deletes_an_article(api: Api, alice: User, bob: User, article: Article) -> None:
    path = f"/api/articles/{article.slug}"

    response = api(alice).delete(path)

    assert response.status_code == 204
    assert response.content == b""
    assert api().get(path).status_code == 404
    assert api().get("/api/articles").json() == {"articles": [], "articlesCount": 0}
    assert api(bob).get("/api/articles/feed").json() == {"articles": [], "articlesCount": 0}


def test_its_comments_favorites_and_tags_are_deleted(
    api: Api, alice: User, bob: User, charlie: User, article: Article
) -> None:
    like(bob, article)
    write_comment(charlie, article)

    response = api(alice).delete(f"/api/articles/{article.slug}")

    assert response.status_code == 204
    assert not Comment.objects.exists()
    assert not Favorite.objects.exists()
    assert not Tagging.objects.exists()
    assert api().get(f"/api/articles/{article.slug}/comments").json() == NOT_FOUND
    assert api().get("/api/articles?favorited=bob").json()["articlesCount"] == 0
    assert api().get("/api/tags").json() == {"tags": []}


def test_other_articles_do_not_change(api: Api, alice: User, bob: User, article: Article) -> None:
    other = write_article(alice, tags=("dragons",))
    like(bob, other)
    write_comment(bob, other)
    path = f"/api/articles/{other.slug}"
    before = [api(bob).get(path).json(), api(bob).get(f"{path}/comments").json()]

    api(alice).delete(f"/api/articles/{article.slug}")

    assert [api(bob).get(path).json(), api(bob).get(f"{path}/comments").json()] == before
    assert api().get("/api/tags").json() == {"tags": ["dragons"]}


def test_a_second_delete_is_404(api: Api, alice: User, article: Article) -> None:
    api(alice).delete(f"/api/articles/{article.slug}")

    response = api(alice).delete(f"/api/articles/{article.slug}")

    assert response.status_code == 404
    assert response.json() == NOT_FOUND


def test_charlie_cannot_delete_it(api: Api, charlie: User, article: Article) -> None:
    before = api().get(f"/api/articles/{article.slug}").json()

    response = api(charlie).delete(f"/api/articles/{article.slug}")

    assert response.status_code == 403
    assert response.json() == {"errors": {"article": ["forbidden"]}}
    assert api().get(f"/api/articles/{article.slug}").json() == before


def test_a_follower_who_commented_cannot_delete_it_either(
    api: Api, bob: User, article: Article
) -> None:
    write_comment(bob, article)

    response = api(bob).delete(f"/api/articles/{article.slug}")

    assert response.status_code == 403
    assert response.json() == {"errors": {"article": ["forbidden"]}}
    assert Comment.objects.count() == 1


def test_it_does_not_find_an_unknown_slug(api: Api, alice: User, article: Article) -> None:
    response = api(alice).delete("/api/articles/nothing-of-the-kind")

    assert response.status_code == 404
    assert response.json() == NOT_FOUND


def test_it_checks_the_token_first(api: Api, article: Article) -> None:
    for slug in (article.slug, "nothing-of-the-kind"):
        response = api().delete(f"/api/articles/{slug}")

        assert response.status_code == 401
        assert response.json() == {"errors": {"token": ["is missing"]}}
    assert Article.objects.exists()
