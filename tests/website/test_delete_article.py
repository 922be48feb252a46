from articles.models import Article
from tests.website.conftest import ReaderFor
from tests.website.reader import Reader
from users.models import User

DELETE = ".article-actions .btn-outline-danger"


def test_the_author_deletes_an_article(reader_for: ReaderFor, article: Article) -> None:
    reader = reader_for(article.author)

    page = reader.submit(reader.open(f"/article/{article.slug}"), DELETE)

    assert page.path == "/"
    assert page.texts(".message") == ["The article was deleted."]
    assert not Article.objects.exists()
    page = reader.open(f"/article/{article.slug}", status=404)
    assert page.texts("h1") == ["This article does not exist"]


def test_charlie_cannot_delete_it(reader_for: ReaderFor, article: Article, charlie: User) -> None:
    reader = reader_for(charlie)
    page = reader.open(f"/article/{article.slug}")
    assert page.all(DELETE) == []
    token = page.all("[name=csrfmiddlewaretoken]")[0].attributes["value"]

    response = reader.post(f"/article/{article.slug}/delete", {"csrfmiddlewaretoken": token})

    assert response.status_code == 403
    assert Article.objects.exists()


def test_a_link_cannot_delete_it(reader_for: ReaderFor, article: Article) -> None:
    assert reader_for(article.author).get(f"/article/{article.slug}/delete").status_code == 405
    assert Article.objects.exists()


def test_an_article_that_is_deleted_already(reader_for: ReaderFor, article: Article) -> None:
    reader = reader_for(article.author)
    page = reader.open(f"/article/{article.slug}")
    article.delete()

    page = reader.submit(page, DELETE, status=404)

    assert page.texts("h1") == ["This article does not exist"]


def test_a_stranger_is_sent_to_the_login(stranger: Reader, article: Article) -> None:
    stranger.handler.enforce_csrf_checks = False

    response = stranger.post(f"/article/{article.slug}/delete")

    assert (response.status_code, response.headers["Location"]) == (303, "/login")
    assert Article.objects.exists()
