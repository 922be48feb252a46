from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations

import pytest
from pytest_django import DjangoAssertNumQueries

from articles.models import Article
from profiles.models import Follow
from tests.builders import follow, like, make_user, write_article
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

PATH = "/api/articles/feed"
EMPTY = {"articles": [], "articlesCount": 0}

FILTERS = {"tag": "python", "author": "alice", "favorited": "charlie"}
FILTER_COMBINATIONS = [chosen for size in range(4) for chosen in combinations(FILTERS, size)]


def write_with_authors_and_tags(reader: User, number: int) -> None:
    """Articles that need more queries for each author and tag if these are not joined."""
    for n in range(number):
        author = make_user(f"author{n}")
        follow(reader, author)
        like(author, write_article(author, tags=(f"tag{n}", "common")))


def test_it_shows_the_articles_of_followed_authors(
    api: Api, article: Article, bob: User, charlie: User
) -> None:
    write_article(charlie)

    response = api(bob).get(PATH)

    assert response.status_code == 200
    answer = response.json()
    assert answer == {
        "articles": [
            {
                "slug": article.slug,
                "title": "How to train your dragon",
                "description": article.description,
                "tagList": ["dragons", "training"],
                "createdAt": answer["articles"][0]["createdAt"],
                "updatedAt": answer["articles"][0]["createdAt"],
                "favorited": False,
                "favoritesCount": 0,
                "author": {"username": "alice", "bio": None, "image": None, "following": True},
            }
        ],
        "articlesCount": 1,
    }
    assert answer["articles"] == api(bob).get("/api/articles?author=alice").json()["articles"]


def test_it_is_empty_when_the_reader_follows_nobody(
    api: Api, article: Article, charlie: User
) -> None:
    response = api(charlie).get(PATH)

    assert response.status_code == 200
    assert response.json() == EMPTY


def test_it_has_no_articles_of_the_reader_or_of_followers(
    api: Api, article: Article, alice: User, bob: User
) -> None:
    write_article(bob)

    assert api(alice).get(PATH).json() == EMPTY


def test_it_is_empty_after_unfollowing(api: Api, article: Article, bob: User) -> None:
    Follow.objects.filter(follower=bob).delete()

    assert api(bob).get(PATH).json() == EMPTY


def test_the_newest_comes_first_across_authors(
    api: Api, alice: User, bob: User, charlie: User
) -> None:
    follow(bob, charlie)
    for year, author in ((2020, alice), (2022, charlie), (2021, alice)):
        created_at = datetime(year, 1, 1, tzinfo=UTC)
        write_article(author, title=f"Of {year}", created_at=created_at)

    shown = api(bob).get(PATH).json()["articles"]

    assert [article["title"] for article in shown] == ["Of 2022", "Of 2021", "Of 2020"]


def test_the_pages_show_each_article_once_when_all_have_the_same_time(
    api: Api, alice: User, bob: User, charlie: User
) -> None:
    follow(bob, charlie)
    instant = datetime(2020, 1, 1, tzinfo=UTC)
    written = [
        write_article(author, created_at=instant).slug
        for author in (alice, charlie, alice, charlie, alice)
    ]

    pages = [
        api(bob).get(PATH, {"limit": 2, "offset": offset}).json()["articles"]
        for offset in (0, 2, 4)
    ]

    assert [article["slug"] for page in pages for article in page] == [*reversed(written)]


def test_it_shows_what_the_reader_favorited(
    api: Api, article: Article, bob: User, charlie: User
) -> None:
    other = write_article(article.author, tags=("a", "b", "c"))
    like(bob, article)
    like(charlie, article)
    like(charlie, other)

    shown = api(bob).get(PATH).json()["articles"]

    assert [(a["slug"], a["favorited"], a["favoritesCount"]) for a in shown] == [
        (other.slug, False, 1),
        (article.slug, True, 2),
    ]


def test_a_page_has_20_articles_and_the_total_count(api: Api, alice: User, bob: User) -> None:
    slugs = [write_article(alice).slug for _ in range(21)]

    answer = api(bob).get(PATH).json()

    assert [article["slug"] for article in answer["articles"]] == [*reversed(slugs[1:])]
    assert answer["articlesCount"] == 21


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"limit": 1}, [2]),
        ({"limit": 101}, [2, 1, 0]),
        ({"offset": 1}, [1, 0]),
        ({"limit": 1, "offset": 1}, [1]),
        ({"offset": 3}, []),
        ({"offset": 2**63 - 1}, []),
    ],
)
def test_limit_and_offset_select_a_page_and_keep_the_total_count(
    api: Api, alice: User, bob: User, query: dict[str, int], numbers: list[int]
) -> None:
    slugs = [write_article(alice).slug for _ in range(3)]

    answer = api(bob).get(PATH, query).json()

    assert [article["slug"] for article in answer["articles"]] == [slugs[n] for n in numbers]
    assert answer["articlesCount"] == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "-1", "abc", "1.5", "1e3")),
        *(("limit", str(value)) for value in (2**63, 10**20)),
        *(("offset", value) for value in ("-1", "abc", "1.5", "1e3")),
        *(("offset", str(value)) for value in (2**63, 10**20)),
        *((name, "\0") for name in ("limit", "offset", "tag", "author", "favorited")),
    ],
)
def test_it_refuses_an_invalid_query(api: Api, bob: User, name: str, value: str) -> None:
    response = api(bob).get(PATH, {name: value})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == [name]


@pytest.mark.parametrize("limit", [1, 20])
@pytest.mark.parametrize("names", FILTER_COMBINATIONS)
def test_filters_combine_within_the_feed(
    api: Api, alice: User, bob: User, charlie: User, names: tuple[str, ...], limit: int
) -> None:
    dora = make_user("dora")
    follow(bob, dora)
    for passes in FILTER_COMBINATIONS:
        written = write_article(
            alice if "author" in passes else dora,
            title=" ".join(["passes", *passes]),
            tags=("python", "other") if "tag" in passes else ("other",),
        )
        if "favorited" in passes:
            like(charlie, written)
    # This article matches `tag` and `favorited`, but Bob does not follow its author.
    like(charlie, write_article(charlie, tags=("python",)))

    query = {name: FILTERS[name] for name in names} | {"limit": limit}
    answer = api(bob).get(PATH, query).json()

    expected = [
        " ".join(["passes", *passes]) for passes in FILTER_COMBINATIONS if {*names} <= {*passes}
    ]
    expected.reverse()  # newest first
    assert [article["title"] for article in answer["articles"]] == expected[:limit]
    assert answer["articlesCount"] == len(expected)


def test_a_filter_by_an_author_who_is_not_followed_finds_nothing(
    api: Api, bob: User, charlie: User
) -> None:
    write_article(charlie)

    assert api(bob).get(PATH, {"author": "charlie"}).json() == EMPTY


@pytest.mark.parametrize(
    "query", [{"tag": "Dragons"}, {"author": "Alice"}, {"favorited": "nobody"}, {"tag": "%"}]
)
def test_unknown_names_give_an_empty_list(
    api: Api, article: Article, bob: User, query: dict[str, str]
) -> None:
    response = api(bob).get(PATH, query)

    assert response.status_code == 200
    assert response.json() == EMPTY


def test_the_filter_favorited_does_not_change_the_favorites_count(
    api: Api, article: Article, bob: User, charlie: User
) -> None:
    like(charlie, article)
    for number in range(4):
        like(make_user(f"reader{number}"), article)

    answer = api(bob).get(PATH, {"favorited": "charlie", "tag": "dragons"}).json()

    assert answer["articlesCount"] == 1
    assert answer["articles"][0]["favoritesCount"] == 5
    assert answer["articles"][0]["tagList"] == ["dragons", "training"]


def test_it_checks_the_token_first(api: Api, db: None) -> None:
    response = api().get(PATH, {"limit": "0"})

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}


def test_it_refuses_a_bad_token(api: Api, db: None) -> None:
    response = api(headers={"Authorization": "Token garbage"}).get(PATH)

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is invalid"]}}


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("query", [{}, {"tag": "common"}])
def test_it_runs_two_queries(
    api: Api,
    charlie: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    rows: int,
    query: dict[str, str],
) -> None:
    write_with_authors_and_tags(charlie, rows)

    with django_assert_num_queries(2):  # the user behind the token, the page with the count
        answer = api(charlie).get(PATH, query).json()

    assert len(answer["articles"]) == rows
