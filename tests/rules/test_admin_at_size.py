"""Every page of the admin on a site with a million articles: few statements, and within a second.

The bound leaves room: the slowest page takes about 0.4 s of processor time.
"""

import pytest

from tests.database.servers import PostgreSQL
from tests.rules.open_pages import USER, of_site

pytestmark = pytest.mark.plans

SECONDS = 1.0
STATEMENTS = 25  # the confirmation of a user's deletion counts the rows of each model

EDITOR = """
    INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
        username_folded, is_active, is_staff, created_at)
    VALUES (%s, '', true, 'editor', 'editor', 'editor', 'editor', true, true, now())
"""
SEARCHES = ["?q=common", "?q=common&p=100", "?q=text+common", "?q=early", "?q=common+other",
            "?q=nobody", "?q=user7", "?q=common&state=hidden"]  # fmt: skip
DATES = ["?created_at_from=2001-02-03&created_at_to=2001-02-04", "?created_at_to=2001-02-03"]
STATES = ["?state=visible", "?state=hidden", "?state=author"]
LISTS = {
    "articles/article": [
        *("", "?p=100", "?o=4", "?o=-4", "?o=1", "?o=5.2.1", "?all=", *SEARCHES, *DATES, *STATES),
        *("?author__id__exact=7", "?tags__id__exact=1", "?tags__id__exact=10001"),
        *("?tags__id__exact=10001&p=100", "?tags__id__exact=10001&state=hidden"),
        *("?tags__id__exact=10008", "?author__id__exact=7&q=common", "?body__icontains=nobody"),
    ],
    "articles/comment": [
        *("", "?p=100", "?o=5", "?o=-1.2", *SEARCHES, *DATES, *STATES),
        *("?author__id__exact=7", "?article__id__exact=7", "?article__id__exact=7&p=100"),
        *("?article__id__exact=7&q=common", "?body__icontains=nobody"),
    ],
    "articles/favorite": [
        *("", "?p=100", "?o=1.2.3.4", "?q=user7", "?q=slug-7", "?q=nobody"),
        *("?user__id__exact=8", "?article__id__exact=7"),
    ],
    "articles/tag": [
        *("", "?p=50", "?q=tag1", "?has_articles=yes", "?has_articles=no", "?o=1", "?o=-2"),
    ],
    "profiles/follow": [
        *("", "?p=100", "?o=2", "?q=user7", "?follower__id__exact=7", "?followed__id__exact=7"),
    ],
    "users/user": [
        *("", "?p=100", "?o=1", "?o=-2", "?o=3.4", "?q=user1", "?q=user7777", "?q=u", "?q=nobody"),
        *("?state=staff", "?state=suspended", "?state=hidden", "?state=superusers", *DATES),
    ],
    "users/auditentry": ["", "?q=editor", "?o=2"],
    "auth/group": [""],
}
ROWS = {
    "articles/article": 7, "articles/comment": 9, "articles/favorite": 8, "articles/tag": 10_001,
    "profiles/follow": 8, "users/user": 7,
}  # fmt: skip
CHOICES = [
    ("articles", "article", "author", "user1"),
    ("articles", "comment", "article", "titl"),
    ("articles", "comment", "article", "title common"),
    ("articles", "favorite", "user", ""),
]
AUTOCOMPLETE = "/admin/autocomplete/?app_label={}&model_name={}&field_name={}&term={}"


@pytest.fixture(scope="module")
def url(million_server: PostgreSQL) -> str:
    with million_server.session() as session:
        session.execute(EDITOR, [USER])
    return million_server.url()


def check(addresses: list[str], url: str) -> None:
    pages = of_site(addresses, url)

    assert {page.status for page in pages} <= {200, 302}
    assert [page for page in pages if page.seconds > SECONDS] == []
    assert [page for page in pages if page.statements > STATEMENTS] == []


@pytest.mark.parametrize("name", LISTS)
def test_every_list_answers_within_a_second(url: str, name: str) -> None:
    check([f"/admin/{name}/{query}" for query in LISTS[name]], url)


def test_the_pages_of_rows_answer_within_a_second(url: str) -> None:
    pages = ("change", "history", "delete")
    check([f"/admin/{name}/{row}/{page}/" for name, row in ROWS.items() for page in pages], url)


def test_the_start_page_and_the_choices_answer_within_a_second(url: str) -> None:
    check(["/admin/", *(AUTOCOMPLETE.format(*choice) for choice in CHOICES)], url)
