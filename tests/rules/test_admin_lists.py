"""What the lists of the admin find, filter and sort, and what they refuse."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from articles.models import Article, Comment, Favorite, Tag
from profiles.models import Follow
from tests.builders import follow, like, make_user, write_article, write_comment
from users.admin_base import lists
from users.models import User


def changelist(site: Client, name: str, **query: Any) -> Any:
    response = site.get(reverse(f"admin:{name}_changelist"), query)
    assert response.status_code == 200, response.headers
    return response.context["cl"]


def shown(site: Client, name: str, **query: Any) -> list[Any]:
    return [*changelist(site, name, **query).result_list]


@pytest.fixture
def articles(alice: User, bob: User) -> list[Article]:
    """The newest first."""
    dragons = write_article(alice, title="Dragons of Bohemia", tags=("dragons", "common"))
    soup = write_article(bob, title="Soup", body="for dragons", tags=("common",))
    for day, article in enumerate((dragons, soup), start=1):
        Article.objects.filter(pk=article.pk).update(
            created_at=datetime(2026, 1, day, 23, tzinfo=UTC)
        )
    return [soup, dragons]


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ({}, [0, 1]),
        ({"q": "dragons"}, [0, 1]),
        ({"q": " "}, [0, 1]),
        ({"q": "drag"}, [1]),
        ({"q": "ALICE"}, [1]),
        ({"q": "nobody"}, []),
        ({"author__id__exact": "bob"}, [0]),
        ({"author__id__exact": "bob", "q": "dragons"}, [0]),
        ({"author__id__exact": "bob", "tags__id__exact": "dragons"}, []),
        ({"tags__id__exact": "common"}, [0, 1]),
        ({"tags__id__exact": "dragons"}, [1]),
        ({"tags__id__exact": "dragons", "state": "hidden"}, []),
        ({"created_at_from": "2026-01-02"}, [0]),
        ({"created_at_to": "2026-01-01"}, [1]),
        ({"created_at_from": "2026-01-01", "created_at_to": "2026-01-02"}, [0, 1]),
        ({"o": "4"}, [1, 0]),
        ({"o": "-4"}, [0, 1]),
        # Columns without an index do not sort.
        ({"o": "1"}, [0, 1]),
        ({"o": "-2.5.99.x"}, [0, 1]),
        # What the form of the filters sends.
        ({"author__id__exact": "", "tags__id__exact": "", "state": ""}, [0, 1]),
        ({"created_at_from": "", "created_at_to": ""}, [0, 1]),
    ],
)
def test_articles_are_found_filtered_and_sorted(
    site: Client, articles: list[Article], query: dict[str, str], indexes: list[int]
) -> None:
    ids = {user.username: str(user.pk) for user in User.objects.all()}
    ids |= {tag.name: str(tag.pk) for tag in Tag.objects.all()}
    query = {name: ids.get(text, text) if "id" in name else text for name, text in query.items()}

    assert shown(site, "articles_article", **query) == [articles[index] for index in indexes]


def test_articles_and_comments_are_filtered_by_state(
    site: Client, articles: list[Article], alice: User
) -> None:
    hidden, visible = articles
    comment = write_comment(alice, visible)
    Article.objects.filter(pk=hidden.pk).update(hidden_at="2026-01-01T00:00Z")
    assert shown(site, "articles_article", state="hidden") == [hidden]
    assert shown(site, "articles_article", state="visible") == [visible]
    assert shown(site, "articles_comment", state="visible") == [comment]

    User.objects.filter(pk=alice.pk).update(hidden_at="2026-01-01T00:00Z")
    assert shown(site, "articles_article", state="author") == [visible]
    assert shown(site, "articles_comment", state="author") == [comment]
    assert shown(site, "articles_comment", state="visible") == []


def test_comments_are_found_by_their_words_and_author(
    site: Client, articles: list[Article], alice: User, bob: User
) -> None:
    by_alice = write_comment(alice, articles[0], body="I like dragons")
    by_bob = write_comment(bob, articles[1], body="I like soup")

    assert shown(site, "articles_comment", q="dragons") == [by_alice]
    assert shown(site, "articles_comment", q="bob") == [by_bob]
    assert shown(site, "articles_comment", article__id__exact=articles[1].pk) == [by_bob]
    assert shown(site, "articles_comment", q="like", author__id__exact=bob.pk) == [by_bob]


def test_users_are_found_by_the_start_of_a_name_or_e_mail_in_any_spelling(
    site: Client, alice: User
) -> None:
    other = make_user("Żaneta", email="zoe@example.com")

    assert shown(site, "users_user", q="ALI") == [alice]
    assert shown(site, "users_user", q="\uff41\uff4c\uff49") == [alice]
    assert shown(site, "users_user", q="żan") == [other]
    assert shown(site, "users_user", q="zoe@") == [other]
    assert shown(site, "users_user", q="lice") == []
    assert shown(site, "users_user", q="x" * 5000) == []
    # % and _ are no wildcards.
    assert shown(site, "users_user", q="%lice") == []


def test_users_are_filtered_by_state(site: Client, editor: User, alice: User, bob: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    User.objects.filter(pk=bob.pk).update(hidden_at="2026-01-01T00:00Z")

    assert shown(site, "users_user", state="suspended") == [alice]
    assert shown(site, "users_user", state="hidden") == [bob]
    assert shown(site, "users_user", state="staff") == [editor]
    assert len(shown(site, "users_user", state="nonsense")) == 3


def test_favorites_and_follows_are_found_by_exact_names(
    site: Client, articles: list[Article], alice: User, bob: User
) -> None:
    by_bob = like(bob, articles[1])
    by_alice = like(alice, articles[0])
    followed = Follow.objects.get()
    follow(alice, make_user("dora"))

    assert shown(site, "articles_favorite") == [by_alice, by_bob]
    assert shown(site, "articles_favorite", q="Bob") == [by_bob]
    assert shown(site, "articles_favorite", q=articles[0].slug) == [by_alice]
    assert shown(site, "articles_favorite", q="bo") == []
    assert shown(site, "articles_favorite", user__id__exact=alice.pk) == [by_alice]
    assert shown(site, "articles_favorite", article__id__exact=articles[1].pk) == [by_bob]
    assert shown(site, "profiles_follow", q="bob") == [followed]
    assert shown(site, "profiles_follow", follower__id__exact=bob.pk) == [followed]


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("articles_article", "body__icontains=a"),
        ("articles_article", "favorites__user=1"),
        ("articles_article", "comments__body__icontains=a"),
        ("articles_article", "author__isnull=True"),
        ("articles_article", "author__username=alice"),
        ("articles_article", "author__id__exact=abc"),
        ("articles_article", "tags__id__exact=abc"),
        ("articles_article", "created_at__year=2026"),
        ("articles_article", "created_at_from=yesterday"),
        ("articles_article", "created_at_to=9999-12-31"),
        ("articles_article", "likes__gt=0"),
        ("articles_comment", "body__regex=a"),
        ("articles_favorite", "created_at__gte=2026-01-01"),
        ("users_user", "password__startswith=a"),
        ("users_user", "groups__permissions__codename=a"),
        ("users_auditentry", "details__icontains=a"),
    ],
)
def test_a_list_ignores_a_parameter_that_is_not_of_a_filter(
    site: Client, name: str, query: str
) -> None:
    url = reverse(f"admin:{name}_changelist")

    response = site.get(f"{url}?{query}")

    assert (response.status_code, response.headers["Location"]) == (302, f"{url}?e=1")


def test_a_long_list_is_not_counted_to_the_end(
    site: Client, article: Article, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_ROWS", 2)
    write_comment(alice, article)
    assert changelist(site, "articles_comment").result_count == 1
    for _ in range(2):
        write_comment(alice, article)

    response = site.get(reverse("admin:articles_comment_changelist"))

    assert response.context["cl"].result_count == 2
    assert "more than 2" in response.content.decode()


def test_a_list_has_at_most_one_link_to_all_rows(site: Client, alice: User) -> None:
    article = write_article(alice)
    Comment.objects.bulk_create(
        Comment(
            author=alice, article=article, body="a",
            created_at=article.created_at, updated_at=article.created_at,
        )
        for _ in range(101)
    )  # fmt: skip
    url = reverse("admin:articles_comment_changelist")

    assert site.get(url).content.decode().count("Show all") == 1
    assert len(site.get(url, {"all": ""}).context["cl"].result_list) == 101
    assert "Show all" not in site.get(url, {"q": "b"}).content.decode()


def test_a_page_beyond_the_last_is_the_list(site: Client, article: Article) -> None:
    Favorite.objects.all().delete()
    response = site.get(reverse("admin:articles_article_changelist"), {"p": 500})

    assert response.status_code == 200
    assert [*response.context["cl"].result_list] == [article]
