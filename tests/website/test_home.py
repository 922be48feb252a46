from pytest_django import DjangoAssertNumQueries

from tests.builders import write_article
from tests.website.reader import Reader
from users.models import User


def test_a_stranger_sees_the_newest_articles(stranger: Reader, alice: User) -> None:
    for number in range(11):
        write_article(alice, title=f"Title {number}")

    page = stranger.open("/")

    assert page.texts(".article-preview h1") == [f"Title {10 - n}" for n in range(10)]
    assert page.texts(".page-link") == ["1", "2"]
    assert stranger.open("/?page=2").texts(".article-preview h1") == ["Title 0"]


def test_it_runs_two_queries_for_a_stranger(
    stranger: Reader, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    write_article(alice, tags=("one", "two"))

    with django_assert_num_queries(2):
        stranger.open("/")
    assert not stranger.has_session
