import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Literal
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.exceptions import FieldFetchBlocked
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from articles.models import Article
from tests.builders import follow, like, make_user, write_article
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

PATH = "/api/articles"
EMPTY = {"articles": [], "articlesCount": 0}

FILTERS = {"tag": "python", "author": "alice", "favorited": "charlie"}
FILTER_COMBINATIONS = [chosen for size in range(4) for chosen in combinations(FILTERS, size)]

# "\uff12" is a fullwidth digit.
NOT_A_NUMBER = [
    "abc",
    "1.5",
    "1e3",
    "1,000",
    "1_000",
    "0x10",
    "NaN",
    "Infinity",
    "\uff12",
    "1\0",
]
TOO_LARGE = [str(2**63), str(10**20), "9" * 5_000]


def write_many(author: User, number: int) -> None:
    now = timezone.now()
    Article.objects.bulk_create(
        Article(
            author=author,
            slug=f"article-{n}",
            title=f"Article {n}",
            description="One of many",
            body="Text",
            created_at=now,
            updated_at=now,
        )
        for n in range(number)
    )


def write_with_authors_and_tags(number: int) -> None:
    """Articles that need more queries for each author and tag if these are not joined."""
    for n in range(number):
        author = make_user(f"author{n}")
        like(author, write_article(author, tags=(f"tag{n}", "common")))


def write_every_combination(alice: User, bob: User, charlie: User) -> None:
    """One article for each combination of filters; its title lists the filters that it passes."""
    for passes in FILTER_COMBINATIONS:
        written = write_article(
            alice if "author" in passes else bob,
            title=" ".join(["passes", *passes]),
            tags=("python", "other") if "tag" in passes else ("other",),
        )
        like(bob, written)
        if "favorited" in passes:
            like(charlie, written)


def test_it_shows_articles_without_their_body(api: Api, alice: User) -> None:
    article = write_article(
        alice,
        title="How to train your dragon",
        description="Ever wonder how?",
        body="It takes a Jacobian",
        tags=("training", "dragons"),
        created_at=datetime(2016, 2, 18, 3, 22, 56, 637_000, tzinfo=UTC),
    )
    updated_at = datetime(2016, 2, 18, 3, 48, 35, tzinfo=UTC)
    Article.objects.filter(pk=article.pk).update(updated_at=updated_at)

    response = api().get(PATH)

    assert response.status_code == 200
    assert response.json() == {
        "articles": [
            {
                "slug": article.slug,
                "title": "How to train your dragon",
                "description": "Ever wonder how?",
                "tagList": ["dragons", "training"],
                "createdAt": "2016-02-18T03:22:56.637Z",
                "updatedAt": "2016-02-18T03:48:35.000Z",
                "favorited": False,
                "favoritesCount": 0,
                "author": {"username": "alice", "bio": None, "image": None, "following": False},
            }
        ],
        "articlesCount": 1,
    }


def test_it_is_empty_without_articles(api: Api, db: None) -> None:
    response = api().get(PATH)

    assert response.status_code == 200
    assert response.json() == EMPTY


def test_the_newest_comes_first(api: Api, alice: User, bob: User) -> None:
    for year, author in ((2020, alice), (2022, bob), (2021, alice)):
        created_at = datetime(year, 1, 1, tzinfo=UTC)
        write_article(author, title=f"Of {year}", created_at=created_at)

    shown = api().get(PATH).json()["articles"]

    assert [article["title"] for article in shown] == ["Of 2022", "Of 2021", "Of 2020"]


def test_an_update_does_not_make_an_article_newer(api: Api, alice: User) -> None:
    older, newer = write_article(alice), write_article(alice)
    older.body = "Better"
    older.save()

    shown = api().get(PATH).json()["articles"]

    assert [article["slug"] for article in shown] == [newer.slug, older.slug]


def test_the_last_written_comes_first_when_times_are_equal(api: Api, alice: User) -> None:
    write_many(alice, 5)

    shown = api().get(PATH).json()["articles"]

    assert [article["slug"] for article in shown] == [f"article-{n}" for n in (4, 3, 2, 1, 0)]


def test_the_pages_show_each_article_once_when_all_have_the_same_time(
    api: Api, alice: User
) -> None:
    write_many(alice, 7)

    pages = [
        api().get(PATH, {"limit": 2, "offset": offset}).json()["articles"]
        for offset in range(0, 8, 2)
    ]

    met = [article["slug"] for page in pages for article in page]
    assert met == [f"article-{n}" for n in reversed(range(7))]


def test_it_shows_what_the_viewer_favorited_and_follows(
    api: Api, alice: User, bob: User, charlie: User
) -> None:
    follow(charlie, bob)
    by_alice, by_bob = write_article(alice), write_article(bob)
    like(bob, by_alice)
    like(alice, by_bob)
    like(bob, by_bob)

    def seen_by(viewer: User | None) -> dict[str, tuple[bool, int, bool]]:
        shown = api(viewer).get(PATH).json()["articles"]
        return {
            a["author"]["username"]: (a["favorited"], a["favoritesCount"], a["author"]["following"])
            for a in shown
        }

    assert seen_by(None) == {"alice": (False, 1, False), "bob": (False, 2, False)}
    assert seen_by(alice) == {"alice": (False, 1, False), "bob": (True, 2, False)}
    assert seen_by(bob) == {"alice": (True, 1, True), "bob": (True, 2, False)}
    assert seen_by(charlie) == {"alice": (False, 1, False), "bob": (False, 2, True)}


def test_tags_are_sorted_by_code_point(api: Api, alice: User) -> None:
    write_article(alice, tags=("b", "a", "B", "ä", "Z", "😀", "\uff5e"))

    shown = api().get(PATH).json()["articles"]

    assert shown[0]["tagList"] == ["B", "Z", "a", "b", "ä", "\uff5e", "😀"]


def test_a_page_has_20_articles_and_the_total_count(api: Api, alice: User) -> None:
    write_many(alice, 21)

    answer = api().get(PATH).json()

    assert [article["slug"] for article in answer["articles"]] == [
        f"article-{n}" for n in range(20, 0, -1)
    ]
    assert answer["articlesCount"] == 21


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"limit": 1}, [4]),
        ({"limit": 2}, [4, 3]),
        ({"limit": 100}, [4, 3, 2, 1, 0]),
        ({"offset": 0}, [4, 3, 2, 1, 0]),
        ({"offset": 3}, [1, 0]),
        ({"limit": 2, "offset": 1}, [3, 2]),
        ({"limit": 2, "offset": 4}, [0]),
        ({"limit": 2, "offset": 5}, []),
        ({"offset": 1_000_000}, []),
        ({"offset": 2**63 - 1}, []),
        ({"limit": 2**63 - 1, "offset": 2**63 - 1}, []),
    ],
)
def test_limit_and_offset_select_a_page_and_keep_the_total_count(
    api: Api, alice: User, query: dict[str, int], numbers: list[int]
) -> None:
    write_many(alice, 5)

    response = api().get(PATH, query)

    assert response.status_code == 200
    answer = response.json()
    assert [article["slug"] for article in answer["articles"]] == [f"article-{n}" for n in numbers]
    assert answer["articlesCount"] == 5


@pytest.mark.parametrize("query", ["limit=", "offset=", "limit=&offset=&tag=", "limit=5&limit="])
def test_an_empty_parameter_is_ignored(api: Api, alice: User, query: str) -> None:
    write_many(alice, 21)

    answer = api().get(f"{PATH}?{query}").json()

    assert len(answer["articles"]) == 20
    assert answer["articlesCount"] == 21


@pytest.mark.parametrize("path", [PATH, f"{PATH}/a", f"{PATH}/a/comments", "/api/tags"])
def test_a_server_may_omit_the_query_string(api: Api, alice: User, path: str) -> None:
    write_article(alice, title="A")
    environ: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    assert "QUERY_STRING" not in environ

    assert api().handler(environ).status_code == 200


@pytest.mark.parametrize("limit", [100, 101, 1_000, 2**63 - 1])
def test_a_page_has_100_articles_at_most(api: Api, alice: User, limit: int) -> None:
    write_many(alice, 101)

    answer = api().get(PATH, {"limit": limit}).json()

    assert len(answer["articles"]) == 100
    assert answer["articlesCount"] == 101


@pytest.mark.parametrize(
    "limit", ["0", "-1", str(-(2**63) - 1), "-" + "9" * 5_000, *NOT_A_NUMBER, *TOO_LARGE]
)
def test_it_refuses_an_invalid_limit(api: Api, article: Article, limit: str) -> None:
    response = api().get(PATH, {"limit": limit})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == ["limit"]


@pytest.mark.parametrize(
    "offset", ["-1", str(-(2**63) - 1), "-" + "9" * 5_000, *NOT_A_NUMBER, *TOO_LARGE]
)
def test_it_refuses_an_invalid_offset(api: Api, article: Article, offset: str) -> None:
    response = api().get(PATH, {"offset": offset})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == ["offset"]


def test_it_reports_all_invalid_parameters_at_once(api: Api, db: None) -> None:
    response = api().get(PATH, {"limit": "0", "offset": "-1", "tag": "\0"})

    assert response.status_code == 422
    assert {*response.json()["errors"]} == {"limit", "offset", "tag"}


def test_it_ignores_unknown_parameters(api: Api, article: Article) -> None:
    response = api().get(PATH, {"page": "x", "id": "\0", "title": "nothing", "author__id": "0"})

    assert response.status_code == 200
    assert response.json()["articlesCount"] == 1


@pytest.mark.parametrize("limit", [1, 20])
@pytest.mark.parametrize("names", FILTER_COMBINATIONS)
def test_filters_combine_and_the_count_has_all_matches(
    api: Api, alice: User, bob: User, charlie: User, names: tuple[str, ...], limit: int
) -> None:
    write_every_combination(alice, bob, charlie)

    answer = api().get(PATH, {name: FILTERS[name] for name in names} | {"limit": limit}).json()

    expected = [
        " ".join(["passes", *passes]) for passes in FILTER_COMBINATIONS if {*names} <= {*passes}
    ]
    expected.reverse()  # newest first
    assert [article["title"] for article in answer["articles"]] == expected[:limit]
    assert answer["articlesCount"] == len(expected) == 8 // 2 ** len(names)


@pytest.mark.parametrize(
    "query",
    [
        {"tag": "nothing"},
        {"author": "nobody"},
        {"favorited": "nobody"},
        {"tag": "dragons", "author": "nobody"},
        {"tag": "nothing", "author": "alice"},
        {"favorited": "nobody", "author": "alice"},
        {"favorited": "bob", "tag": "nothing"},
        # These people and tags exist, but have no articles.
        {"author": "bob"},
        {"favorited": "alice"},
        {"tag": "unused"},
    ],
)
def test_names_without_articles_give_an_empty_list(
    api: Api, article: Article, bob: User, query: dict[str, str]
) -> None:
    like(bob, article)
    write_article(bob, tags=("unused",)).delete()

    response = api().get(PATH, query)

    assert response.status_code == 200
    assert response.json() == EMPTY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("tag", value)
            for value in (
                "Dragons",
                "DRAGONS",
                "dragon",
                "dragonss",
                "dragons%",
                "%",
                "_ragons",
                "dragons'",
                '"dragons"',
                "dragons\\",
                "' OR '1'='1",
                "dragons,training",
                "x" * 10_000,
            )
        ),
        *(("author", value) for value in ("Alice", "ALICE", "alic", "%", "a_ice", "alice'")),
        *(("favorited", value) for value in ("Bob", "BOB", "bo", "%", "b_b", "bob'")),
    ],
)
def test_filters_are_exact(api: Api, article: Article, bob: User, name: str, value: str) -> None:
    like(bob, article)

    response = api().get(PATH, {name: value})

    assert response.status_code == 200
    assert response.json() == EMPTY


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/feed"])
def test_it_finds_a_username_in_any_normalization_form(
    api: Api, bob: User, path: str, form: Literal["NFC", "NFD"]
) -> None:
    rene = make_user("ren\u00e9", email="rene@example.com")
    follow(bob, rene)
    like(rene, write_article(rene))
    name = unicodedata.normalize(form, rene.username)

    for names in ({"author": name}, {"favorited": name}, {"author": name, "favorited": name}):
        assert api(bob).get(path, names).json()["articlesCount"] == 1


@pytest.mark.parametrize(
    "tag", ["100%", "it's", '"quoted"', "a\\b", "a_b", "C++ & C#", "日本語", "😀", "%(x)s", "{}"]
)
def test_it_finds_a_tag_with_any_characters(api: Api, alice: User, tag: str) -> None:
    write_article(alice, tags=("other",))
    write_article(alice, tags=(tag, "another"))

    answer = api().get(PATH, {"tag": tag}).json()

    assert answer["articlesCount"] == 1
    assert tag in answer["articles"][0]["tagList"]
    assert len(answer["articles"][0]["tagList"]) == 2


@pytest.mark.parametrize("name", ["tag", "author", "favorited"])
@pytest.mark.parametrize("value", ["\0", "dra\0gons"])
def test_it_refuses_a_null_byte_in_a_filter(
    api: Api, article: Article, name: str, value: str
) -> None:
    response = api().get(PATH, {name: value})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == [name]


@pytest.mark.parametrize("name", ["tag", "author", "favorited"])
def test_a_filter_that_is_not_utf_8_finds_nothing(api: Api, article: Article, name: str) -> None:
    response = api().get(f"{PATH}?{name}=%FF%FE")

    assert response.status_code == 200
    assert response.json() == EMPTY


@pytest.mark.parametrize("names", FILTER_COMBINATIONS)
def test_tags_and_filters_do_not_change_the_favorites_count(
    api: Api, alice: User, charlie: User, names: tuple[str, ...]
) -> None:
    article = write_article(alice, tags=("python", "django", "drf"))
    like(charlie, article)
    for number in range(4):
        like(make_user(f"reader{number}"), article)

    answer = api().get(PATH, {name: FILTERS[name] for name in names}).json()

    assert answer["articlesCount"] == 1
    assert answer["articles"][0]["favoritesCount"] == 5
    assert answer["articles"][0]["tagList"] == ["django", "drf", "python"]
    assert answer["articles"][0]["favorited"] is False


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_trailing_slash_is_404(api: Api, alice: User, method: str) -> None:
    response = api(alice).generic(method, f"{PATH}/", b"{}", content_type="application/json")

    assert response.status_code == 404
    assert [*response.json()] == ["errors"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(api: Api, alice: User, method: str) -> None:
    response = api(alice).generic(method, PATH, b"{}", content_type="application/json")

    assert response.status_code == 405
    assert [*response.json()] == ["errors"]


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize(
    "query", [{}, {"tag": "common"}, {"tag": "common", "favorited": "author0"}]
)
def test_it_runs_one_query(
    api: Api,
    db: None,
    django_assert_num_queries: DjangoAssertNumQueries,
    rows: int,
    query: dict[str, str],
) -> None:
    write_with_authors_and_tags(rows)

    with django_assert_num_queries(1):  # the page, with the count
        answer = api().get(PATH, query).json()

    assert len(answer["articles"]) == (1 if "favorited" in query else rows)


@pytest.mark.parametrize("rows", [1, 20])
def test_it_runs_two_queries_with_a_token(
    api: Api, bob: User, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    write_with_authors_and_tags(rows)

    with django_assert_num_queries(2):  # the user behind the token, the page with the count
        answer = api(bob).get(PATH).json()

    assert len(answer["articles"]) == rows


def test_reading_a_field_that_seen_by_did_not_load_is_an_error(article: Article) -> None:
    row = Article.objects.seen_by(None).defer("body").get()

    with pytest.raises(FieldFetchBlocked):
        _ = row.body
