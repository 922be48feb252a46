import pytest
from pytest_django import DjangoAssertNumQueries

from articles.models import Article
from tests.builders import write_article, write_comment
from tests.website.conftest import ReaderFor
from tests.website.reader import Reader
from users.models import User


def retitle(article: Article, title: str) -> str:
    """Returns the old slug."""
    old = article.slug
    article.title = title
    article.save()
    return old


def test_a_stranger_reads_an_article(stranger: Reader, alice: User) -> None:
    article = write_article(alice, title="A <b>", body="# One\n\n*two*", tags=("c++", "a, b"))

    page = stranger.open(f"/article/{article.slug}")

    assert page.one(".article-page h1").text() == "A <b>"
    assert page.texts("h1") == ["A <b>"]
    content = page.one(".article-content")
    assert content.inner_html == '<h2 dir="auto">One</h2>\n<p dir="auto"><em>two</em></p>\n'
    assert page.texts(".tag-list .tag-default") == ["a, b", "c++"]
    assert page.one(".article-meta .author").text() == "alice"
    assert page.all("form[method=post]") == []
    login = f"/login?next=/article/{article.slug}"
    actions = page.all(".article-actions a, .article-actions button")
    assert [action.attributes.get("href") for action in actions] == [login, login]
    assert not stranger.has_session


def test_the_author_sees_how_to_edit_and_delete(reader_for: ReaderFor, article: Article) -> None:
    page = reader_for(article.author).open(f"/article/{article.slug}")

    assert page.texts(".article-actions a") == ["Edit Article"]
    assert page.texts(".article-actions button") == ["Delete Article"]


def test_it_runs_two_queries_for_a_stranger(
    stranger: Reader,
    article: Article,
    bob: User,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(20):
        write_comment(bob, article)

    with django_assert_num_queries(2):  # the article, the comments
        stranger.open(f"/article/{article.slug}")


def test_it_runs_four_queries_for_a_reader(
    reader_for: ReaderFor,
    article: Article,
    bob: User,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    reader = reader_for(bob)
    for _ in range(20):
        write_comment(bob, article)

    with django_assert_num_queries(4):  # the session, the user, the article, the comments
        reader.open(f"/article/{article.slug}")


def test_an_old_slug_redirects_to_the_new_one(stranger: Reader, article: Article) -> None:
    old = retitle(article, "Another title")

    response = stranger.get(f"/article/{old}?page=1")

    assert response.status_code == 301
    assert response.headers["Location"] == f"/article/{article.slug}?page=1"
    assert response.headers["Cache-Control"] == "no-cache"


def test_the_editor_at_an_old_slug_redirects_too(reader_for: ReaderFor, article: Article) -> None:
    old = retitle(article, "Another title")

    response = reader_for(article.author).get(f"/editor/{old}")

    assert response.status_code == 301
    assert response.headers["Location"] == f"/editor/{article.slug}"
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("slug", ["no-such-article", "a%0Ab", "ä", "%3Cscript%3E", "a" * 300])
def test_an_unknown_article_gets_a_page(stranger: Reader, article: Article, slug: str) -> None:
    page = stranger.open(f"/article/{slug}", status=404)

    assert page.texts("h1") == ["This article does not exist"]


def test_a_hidden_article_does_not_exist(stranger: Reader, article: Article) -> None:
    Article.objects.filter(pk=article.pk).update(hidden_at=article.created_at)

    stranger.open(f"/article/{article.slug}", status=404)


@pytest.mark.parametrize("page", ["0", "2", "x", "1000000"])
def test_a_page_of_comments_that_does_not_exist(
    stranger: Reader, article: Article, page: str
) -> None:
    stranger.open(f"/article/{article.slug}?page={page}", status=404)
