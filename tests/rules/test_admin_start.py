"""The start page of the admin."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from articles.models import Article, Comment
from config.admin import start
from tests.builders import like, make_user, write_article, write_comment
from users.models import User


def start_page(client: Client) -> Any:
    response = client.get(reverse("admin:index"))
    assert response.status_code == 200
    return response.context


def counts(context: Any) -> dict[str, list[str]]:
    return {chart.title: [bar.text for bar in chart.bars] for chart in context["charts"]}


def test_it_counts_the_new_rows_of_each_day(site: Client, alice: User) -> None:
    for days in (0, 0, 1, 13, 14, 400):
        article = write_article(alice, created_at=timezone.now() - timedelta(days=days))
    write_comment(alice, article)
    like(alice, article)

    shown = counts(start_page(site))

    assert shown["Articles"] == ["1", *["0"] * 11, "1", "2"]
    assert shown["Users"][-1] == "2"  # Alice and the editor
    assert (shown["Comments"][-1], shown["Favorites"][-1]) == ("1", "1")


def test_it_says_when_it_stops_counting(
    site: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "MOST_OF_DAY", 2)
    for _ in range(3):
        write_article(alice)

    assert counts(start_page(site))["Articles"][-1] == "2 or more"


def test_it_says_which_favorites_it_does_not_count(
    site: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "NEWEST_FAVORITES", 3)
    for days in (3, 2, 1, 1, 0):
        favorite = like(alice, write_article(alice))
        type(favorite).objects.filter(pk=favorite.pk).update(
            created_at=timezone.now() - timedelta(days=days)
        )

    shown = counts(start_page(site))["Favorites"]

    assert shown[-4:] == ["not counted", "not counted", "2 or more", "1"]


def test_a_chart_has_a_description(site: Client, alice: User) -> None:
    write_article(alice)

    html = site.get(reverse("admin:index")).content.decode()

    today = f"{timezone.now():%B} {timezone.now().day}: 1."
    assert 'aria-label="Articles by day. ' in html
    assert today in html


def test_it_shows_the_latest_comments_and_hidden_content(
    site: Client, article: Article, bob: User
) -> None:
    comment = write_comment(bob, article, body="The hidden comment")
    write_comment(bob, article, body="The latest comment")
    Comment.objects.filter(pk=comment.pk).update(hidden_at=timezone.now())
    Article.objects.filter(pk=article.pk).update(hidden_at=timezone.now())

    context = start_page(site)

    assert [row.start for row in context["latest_comments"]] == [
        "The latest comment",
        "The hidden comment",
    ]
    assert context["hidden_articles"] == [article]
    assert context["hidden_comments"] == [comment]


def test_an_editor_sees_only_what_the_lists_show(article: Article, bob: User) -> None:
    write_comment(bob, article)
    editor = make_user("editor", is_staff=True)
    client = Client()
    client.force_login(editor)

    context = start_page(client)
    assert context["charts"] == context["latest_comments"] == context["audit_entries"] == []

    editor.user_permissions.add(Permission.objects.get(codename="view_comment"))
    context = start_page(client)
    assert [chart.title for chart in context["charts"]] == ["Comments"]
    assert len(context["latest_comments"]) == 1
    assert context["hidden_articles"] == context["audit_entries"] == []


def test_it_runs_as_many_statements_for_20_rows_as_for_one(
    site: Client, article: Article, alice: User
) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            site.get(reverse("admin:index"))
        return len(queries)

    write_comment(alice, article)
    few = statements()
    for number in range(20):
        user = make_user(f"user{number}")
        write_comment(user, write_article(user, hidden_at=timezone.now()), hidden_at=timezone.now())
        like(user, article)

    assert statements() == few
    # Four figures, four lists, the session and the user. The database has no other work to do.
    assert few <= 12
