"""The header `Link` of lists of articles. It leads to the next page by the key `before`."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from articles.models import Article
from articles.page_keys import PageKey
from tests.builders import like, write_article
from tests.client import ApiClient, next_page_of
from users.models import User

Api = Callable[..., ApiClient]

PATH = "/api/articles"
FILTERS = ("tag=python", "author=alice", "favorited=charlie")
QUERIES = ["&".join(chosen) for size in range(4) for chosen in combinations(FILTERS, size)]
START = datetime(2001, 2, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = PageKey(datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=UTC), 10)


class Page(NamedTuple):
    slugs: list[str]
    total: int
    following: str | None
    """The URL of the next page."""


def page_at(client: Client, url: str) -> Page:
    response = client.get(url)
    assert response.status_code == 200, response.json()
    answer = response.json()
    slugs = [article["slug"] for article in answer["articles"]]
    return Page(slugs, answer["articlesCount"], next_page_of(response))


def pages_from(client: Client, url: str | None) -> Iterator[Page]:
    """The page at this URL, and all pages after it."""
    while url:
        page = page_at(client, url)
        yield page
        url = page.following


def parameters_of(url: str | None) -> dict[str, str]:
    """The query parameters of a link. Those of one name must not repeat."""
    assert url is not None
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def write_numbered(author: User, number: int, **fields: Any) -> list[Article]:
    """Articles with the slugs article-0, article-1 and so on, a minute apart."""
    return [
        write_article(author, title=f"Article {n}", **{"created_at": START + n * MINUTE} | fields)
        for n in range(number)
    ]


@pytest.fixture
def site(alice: User, bob: User, charlie: User) -> None:
    """Articles that pass every combination of filters, and several with the same time."""
    for n in range(28):
        author = charlie if n % 7 == 0 else alice
        tags = ("python", "other") if n % 4 else ("other",)
        at = START + n // 6 * MINUTE
        article = write_article(author, tags=tags, created_at=at)
        if n % 5:
            like(charlie, article)


@pytest.mark.parametrize("limit", [3, 10])
@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", [PATH, f"{PATH}/feed"])
def test_the_links_visit_the_same_articles_as_offsets(
    api: Api, site: None, bob: User, path: str, query: str, limit: int
) -> None:
    client = api(bob)
    total = page_at(client, f"{path}?{query}").total
    assert total >= 10
    by_offset = [
        page_at(client, f"{path}?{query}&limit={limit}&offset={offset}").slugs
        for offset in range(0, total, limit)
    ]

    pages = [*pages_from(client, f"{path}?{query}&limit={limit}")]

    assert [page.slugs for page in pages] == by_offset
    assert {page.total for page in pages} == {total}
    links = [parameters_of(page.following) for page in pages[:-1]]
    assert all({"before", "limit"} <= {*link} and "offset" not in link for link in links)


@pytest.mark.parametrize("query", QUERIES)
def test_the_links_work_without_a_token(api: Api, site: None, query: str) -> None:
    url = f"{PATH}?{query}&limit=3"

    pages = [*pages_from(api(), url)]

    met = [slug for page in pages for slug in page.slugs]
    assert met == page_at(api(), f"{PATH}?{query}&limit=100").slugs


def test_the_links_visit_articles_of_one_time_once(api: Api, alice: User) -> None:
    write_numbered(alice, 7, created_at=timezone.now())

    pages = [*pages_from(api(), f"{PATH}?limit=2")]

    assert [page.slugs for page in pages] == [
        ["article-6", "article-5"],
        ["article-4", "article-3"],
        ["article-2", "article-1"],
        ["article-0"],
    ]


def test_a_page_after_an_offset_has_a_link_by_key(api: Api, alice: User) -> None:
    write_numbered(alice, 5)

    page = page_at(api(), f"{PATH}?offset=1&limit=2")

    assert page.slugs == ["article-3", "article-2"]
    assert [*parameters_of(page.following)] == ["limit", "before"]
    assert page.following
    assert page_at(api(), page.following).slugs == ["article-1", "article-0"]


def test_a_page_has_20_articles_without_a_limit(api: Api, alice: User) -> None:
    write_numbered(alice, 45)

    pages = [*pages_from(api(), PATH)]

    assert [len(page.slugs) for page in pages] == [20, 20, 5]
    assert [page.total for page in pages] == [45, 45, 45]


@pytest.mark.parametrize(
    "query", ["", "limit=5", "limit=100", "limit=2&offset=3", "offset=5", f"offset={2**63 - 1}"]
)
def test_the_last_page_has_no_link(api: Api, alice: User, query: str) -> None:
    write_numbered(alice, 5)

    page = page_at(api(), f"{PATH}?{query}")

    assert page.total == 5
    assert page.following is None


def test_an_empty_list_has_no_link(api: Api, bob: User) -> None:
    assert page_at(api(), PATH) == ([], 0, None)
    assert page_at(api(bob), f"{PATH}/feed") == ([], 0, None)
    assert page_at(api(), f"{PATH}?author=nobody&before={KEY.encoded()}") == ([], 0, None)


@pytest.mark.parametrize("path", [f"{PATH}?", f"{PATH}/feed?", f"{PATH}?author=alice&"])
def test_a_page_past_the_end_is_empty_and_has_the_true_count(
    api: Api, alice: User, bob: User, path: str
) -> None:
    oldest = write_numbered(alice, 5)[0]
    key = PageKey(oldest.created_at, oldest.pk).encoded()

    assert page_at(api(bob), f"{path}before={key}") == ([], 5, None)


def test_new_articles_do_not_shift_the_pages(api: Api, alice: User) -> None:
    write_numbered(alice, 6)
    client, met = api(), []

    for page in pages_from(client, f"{PATH}?limit=2"):
        met += page.slugs
        write_article(alice)

    assert met == [f"article-{n}" for n in (5, 4, 3, 2, 1, 0)]


@pytest.mark.parametrize("path", [PATH, f"{PATH}/feed"])
@pytest.mark.parametrize("hidden", [False, True])
def test_the_links_work_when_the_last_article_shown_is_deleted_or_hidden(
    api: Api, alice: User, bob: User, path: str, hidden: bool
) -> None:
    write_numbered(alice, 6)
    met, counts = [], []

    for page in pages_from(api(bob), f"{path}?limit=2"):
        met += page.slugs
        counts.append(page.total)
        shown = Article.objects.filter(slug__in=page.slugs)
        if hidden:
            shown.update(hidden_at=timezone.now())
        else:
            shown.delete()

    assert met == [f"article-{n}" for n in (5, 4, 3, 2, 1, 0)]
    assert counts == [6, 4, 2]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("", ""),
        ("limit=1", "limit=1&"),
        ("limit=01&limit=1", "limit=01&limit=1&"),
        ("limit=1&offset=0", "limit=1&"),
        ("offset=1&limit=1&offset=", "limit=1&"),
        ("before=&limit=1&offset=&", "limit=1&"),
        ("%6Fffset=1&b%65fore=&limit=1", "limit=1&"),
        ("&&limit=1&&", "limit=1&"),
        ("limit=1&tag=C%2B%2B+%26%20C%23", "limit=1&tag=C%2B%2B+%26%20C%23&"),
        ("limit=1&favorited=&author=alice", "limit=1&favorited=&author=alice&"),
        ("limit=1&tag=\u65e5\u672c", "limit=1&tag=%E6%97%A5%E6%9C%AC&"),
        ("limit=1&a=%FF&b=%zz&c&d[]=1", "limit=1&a=%FF&b=%zz&c&d[]=1&"),
        ('limit=1&a=<b>"c" d', "limit=1&a=%3Cb%3E%22c%22%20d&"),
        ("limit=1&a=\r\nX: y", "limit=1&a=X:%20y&"),  # Django removes line ends from a URL
    ],
)
def test_a_link_keeps_all_other_parameters(api: Api, alice: User, query: str, kept: str) -> None:
    tags = ("C++ & C#", "\u65e5\u672c")
    write_numbered(alice, 23, tags=tags)

    page = page_at(api(), f"{PATH}?{query}")

    assert page.following
    assert page.following.startswith(f"http://testserver{PATH}?{kept}before=")
    rest = page_at(api(), page.following)
    assert rest.total == 23
    assert len(rest.slugs) in (1, 3)
    assert {*rest.slugs}.isdisjoint(page.slugs)


def test_a_link_keeps_a_limit_above_the_largest(api: Api, alice: User) -> None:
    write_numbered(alice, 101)

    pages = [*pages_from(api(), f"{PATH}?limit=1000")]

    assert [len(page.slugs) for page in pages] == [100, 1]
    assert parameters_of(pages[0].following)["limit"] == "1000"


def test_a_link_has_the_scheme_and_the_host_of_the_request(api: Api, alice: User) -> None:
    write_numbered(alice, 2)

    response = api().get(f"{PATH}?limit=1", secure=True, headers={"Host": "localhost:8443"})

    following = next_page_of(response)
    assert following
    assert following.startswith(f"https://localhost:8443{PATH}?limit=1&before=")


def test_head_has_the_same_link(api: Api, alice: User, bob: User) -> None:
    write_numbered(alice, 3)

    for path in (f"{PATH}?limit=1", f"{PATH}/feed?limit=1"):
        link = api(bob).get(path).headers["Link"]
        response = api(bob).head(path)

        assert response.headers["Link"] == link
        assert response.content == b""


def test_pages_of_other_origins_may_read_the_link(api: Api, alice: User) -> None:
    write_numbered(alice, 2)

    response = api().get(f"{PATH}?limit=1", headers={"Origin": "https://example.com"})

    assert "Link" in response.headers["Access-Control-Expose-Headers"]
    assert next_page_of(response)


@pytest.mark.parametrize("limit", ["", "limit=1&"])
def test_an_empty_key_counts_as_absent(api: Api, alice: User, limit: str) -> None:
    write_numbered(alice, 2)

    assert page_at(api(), f"{PATH}?{limit}before=") == page_at(api(), f"{PATH}?{limit}")
    assert page_at(api(), f"{PATH}?{limit}before={KEY.encoded()}&before=").slugs


@pytest.mark.parametrize(
    "query",
    [
        "limit=2&before={key}",
        "before={key}&limit=2",
        "limit=2&before={key}&",
        "limit=2&&before={key}",
        "limit=2&before={key}&tag=",
        "limit=2&b%65fore={key}",
        "limit=2&before={escaped}",
        "limit=2&before=x&before={key}",
        "limit=2&before={key}&x=before=x",
        "limit=2&offset=&before={key}",
    ],
)
def test_a_key_may_be_anywhere_in_the_query_string(api: Api, alice: User, query: str) -> None:
    article = write_numbered(alice, 4)[2]
    key = PageKey(article.created_at, article.pk).encoded()
    escaped = "".join(f"%{ord(character):02x}" for character in key)

    page = page_at(api(), f"{PATH}?{query.format(key=key, escaped=escaped)}")

    assert page == (["article-1", "article-0"], 4, None)


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("before={key}&before=x", "before"),
        ("x=before={key}&before=x", "before"),
        ("offset=1&before={key}", "before"),
        ("before={key}&offset=1", "before"),
        ("limit=0&before={key}", "limit"),
        ("before={key}&limit=0", "limit"),
        ("tag=%00&before={key}", "tag"),
        ("offset=-1&before={key}", "offset"),
    ],
)
def test_a_valid_key_does_not_hide_another_invalid_parameter(
    api: Api, article: Article, query: str, key: str
) -> None:
    response = api().get(f"{PATH}?{query.format(key=KEY.encoded())}")

    assert response.status_code == 422
    assert [*response.json()["errors"]] == [key]


def test_a_name_that_ends_in_before_is_no_key(api: Api, article: Article) -> None:
    assert page_at(api(), f"{PATH}?limit=5&not-before={KEY.encoded()}").slugs == [article.slug]


def invalid_keys() -> Iterator[str]:
    key = KEY.encoded()
    for n, character in enumerate(key):
        yield key[:n] + ("B" if character == "A" else "A") + key[n + 1 :]
    yield from (key[:-1], key[1:], key[:16], key * 2, f"{key}A", f"{key}=", f"{key}%0A", f"+{key}")
    yield from ("A" * 32, "-" * 32, "=" * 32, "/" * 32, "%2B" * 32, "0", "-1", "abc", "2001-02-03")
    yield from ("\u65e5\u672c", "\uff21" * 32, "%00", f"{key[:-1]}%00", "%FF" * 32, "9" * 5_000)


@pytest.mark.parametrize("path", [PATH, f"{PATH}/feed"])
def test_it_refuses_a_key_that_this_server_did_not_make(
    api: Api, article: Article, bob: User, path: str
) -> None:
    for key in invalid_keys():
        response = api(bob).get(f"{path}?before={key}")

        assert response.status_code == 422, key
        assert response.json() == {"errors": {"before": ["was not made by this server"]}}, key


def test_it_refuses_a_key_that_was_made_with_another_secret_key(
    api: Api, article: Article, settings: Settings
) -> None:
    key = KEY.encoded()
    assert api().get(f"{PATH}?limit=7&before={key}").status_code == 200

    settings.SECRET_KEY = "another key, as long as the first one was"

    assert api().get(f"{PATH}?limit=8&before={key}").status_code == 422
    assert api().get(f"{PATH}?limit=8&before={KEY.encoded()}").status_code == 200


@pytest.mark.parametrize("offset", ["0", "1", "100"])
def test_it_refuses_a_key_with_an_offset(api: Api, article: Article, offset: str) -> None:
    response = api().get(f"{PATH}?offset={offset}&before={KEY.encoded()}")

    assert response.status_code == 422
    assert response.json() == {"errors": {"before": ["can't be combined with offset"]}}


def test_a_key_may_have_an_empty_offset(api: Api, article: Article) -> None:
    assert page_at(api(), f"{PATH}?offset=&before={KEY.encoded()}") == ([], 1, None)


def test_it_reports_an_invalid_key_with_all_other_invalid_parameters(api: Api, db: None) -> None:
    query = {"limit": "0", "offset": "-1", "tag": "\0", "before": "x"}

    response = api().get(PATH, query)

    assert response.status_code == 422
    assert {*response.json()["errors"]} == {"limit", "offset", "tag", "before"}


def test_a_feed_without_a_token_is_401_also_with_an_invalid_key(api: Api, db: None) -> None:
    assert api().get(f"{PATH}/feed?before=x").status_code == 401


@pytest.mark.parametrize("limit", [1, 20])
def test_a_page_by_key_runs_one_query_and_one_for_the_token(
    api: Api,
    alice: User,
    bob: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    limit: int,
) -> None:
    newest = write_numbered(alice, 25)[-1]
    key = PageKey(newest.created_at, newest.pk).encoded()

    with django_assert_num_queries(1):  # the page, with the count
        assert len(page_at(api(), f"{PATH}?limit={limit}&before={key}").slugs) == limit
    with django_assert_num_queries(2):  # the user behind the token, the page with the count
        assert len(page_at(api(bob), f"{PATH}/feed?limit={limit}&before={key}").slugs) == limit
