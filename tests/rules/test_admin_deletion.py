"""The admin deletes any number of rows with small pages."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse

from articles.models import Article, Comment, Tag
from tests.builders import like, make_user, write_article, write_comment
from tests.forms import Form, send
from users import deletion
from users.admin_base import model_admin
from users.audit import MAX_ENTRIES, AuditEntry
from users.models import User
from users.queue_worker import worker

SMALL_PAGE = 100_000  # bytes; 42,000 of them are the same on every page of the admin
TAGS = reverse("admin:articles_tag_changelist")


@pytest.fixture
def many_tags(db: None) -> None:
    Tag.objects.bulk_create(Tag(name=f"tag {number}") for number in range(1500))
    with connection.cursor() as cursor:
        # A plan for the empty table of another test would take seconds.
        cursor.execute("ANALYZE articles_tag")


def select(site: Client, url: str, *rows: Any, across: int = 0) -> Any:
    """The confirmation page."""
    data = {"_selected_action": [row.pk for row in rows], "select_across": across}
    return site.post(url, {"action": "delete_selected", "index": 0} | data)


def confirm(site: Client, url: str, page: Any) -> Any:
    assert page.status_code == 200
    return send(site, url, Form(page.content.decode(), ""), button="")


def counts(page: Any) -> dict[str, Any]:
    return dict(page.context["model_count"])


def test_a_confirmation_counts_the_rows_to_delete(
    site: Client, alice: User, bob: User, article: Article
) -> None:
    write_comment(alice, article)
    write_comment(bob, article)
    write_comment(alice, write_article(bob))
    like(bob, article)
    page = site.get(reverse("admin:users_user_delete", args=[alice.pk]))

    assert counts(page) == {
        "users": 1,
        "articles": 1,
        "comments": 3,
        "favorites": 1,
        "taggings": 2,
        "follows": 1,
    }
    assert article.title not in page.content.decode()


def test_the_confirmation_for_a_large_article_is_small(site: Client, alice: User) -> None:
    target = write_article(alice)
    Comment.objects.bulk_create(
        Comment(author=alice, article=target, body="x" * 1000, updated_at=alice.created_at)
        for _ in range(3000)
    )

    page = site.get(reverse("admin:users_user_delete", args=[alice.pk]))

    assert counts(page)["comments"] == 3000
    assert len(page.content) < SMALL_PAGE


def test_a_confirmation_counts_up_to_a_maximum(
    site: Client, article: Article, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_admin, "MAX_COUNTED", 2)
    for _ in range(3):
        write_comment(alice, article)

    page = site.get(reverse("admin:articles_article_delete", args=[article.pk]))

    assert counts(page) == {"articles": 1, "comments": "more than 2", "taggings": 2}


def test_all_rows_of_a_long_list_are_deleted(
    site: Client, many_tags: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "SMALL", 1500)
    page = select(site, TAGS, Tag.objects.all()[0], across=1)
    assert len(page.content) < SMALL_PAGE
    assert counts(page) == {"tags": 1500}

    response = confirm(site, TAGS, page)

    assert (response.status_code, response["Location"]) == (302, TAGS)
    assert Tag.objects.count() == 0
    assert LogEntry.objects.count() == MAX_ENTRIES
    assert AuditEntry.objects.filter(action="delete", model="articles.tag").count() == 1001
    assert AuditEntry.objects.filter(object_name="500 more tags", object_id="").exists()


def test_all_rows_of_a_filtered_list_are_deleted(site: Client, many_tags: None) -> None:
    url = f"{TAGS}?q=7"
    page = select(site, url, Tag.objects.all()[0], across=1)

    confirm(site, url, page)

    assert Tag.objects.count() == 1500 - sum("7" in str(number) for number in range(1500))
    assert not Tag.objects.filter(name__contains="7").exists()


def test_only_selected_rows_are_deleted(site: Client, many_tags: None) -> None:
    selected = Tag.objects.all()[3:7]
    page = select(site, TAGS, *selected)

    confirm(site, TAGS, page)

    assert Tag.objects.count() == 1496
    assert not Tag.objects.filter(pk__in=[tag.pk for tag in selected]).exists()


def test_a_row_added_after_the_confirmation_is_kept(site: Client, many_tags: None) -> None:
    page = select(site, TAGS, Tag.objects.all()[0], across=1)
    Tag.objects.create(name="new")

    confirm(site, TAGS, page)

    assert [tag.name for tag in site.get(TAGS).context["cl"].queryset] == ["new"]


def test_articles_found_by_a_search_are_deleted(site: Client, alice: User, bob: User) -> None:
    for number in range(3):
        write_article(alice, tags=("dragons", "old dragons"), title=f"Title {number}")
    write_article(bob, title="For Alice")
    write_article(bob, title="Another")
    url = f"{reverse('admin:articles_article_changelist')}?q=alice"
    page = select(site, url, Article.objects.all()[0], across=1)
    assert counts(page) == {"articles": 4, "taggings": 6}

    confirm(site, url, page)

    assert [article.title for article in Article.objects.all()] == ["Another"]


def test_a_large_row_is_hidden_at_once_and_deleted_later(
    site: Client, alice: User, article: Article, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "SMALL", 2)
    url = reverse("admin:users_user_delete", args=[alice.pk])

    response = site.post(url, {"post": "yes"})

    assert response.status_code == 302
    assert User.objects.filter(pk=alice.pk, is_active=False).exclude(hidden_at=None).exists()
    listed = site.get(reverse("admin:users_user_changelist"))
    assert alice not in listed.context["cl"].queryset
    assert "deleted in the background" in listed.content.decode()
    assert site.get(url).status_code == 302
    worker.empty_queues()
    assert not User.objects.filter(pk=alice.pk).exists()


def test_many_rows_are_hidden_at_once_and_deleted_later(
    site: Client, many_tags: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Tag.objects.filter(name__gt="tag 11").delete()
    monkeypatch.setattr(deletion, "SMALL", 20)
    page = select(site, TAGS, Tag.objects.all()[0], across=1)

    confirm(site, TAGS, page)

    assert site.get(TAGS).context["cl"].result_count == 0
    worker.empty_queues()
    assert Tag.objects.count() == 0


@pytest.fixture
def deputy(db: None) -> Client:
    """An editor who may only delete articles."""
    user = make_user("deputy", is_staff=True)
    rights = ["view_article", "delete_article"]
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def test_a_row_is_kept_if_the_editor_may_not_delete_its_comments(
    deputy: Client, article: Article, bob: User
) -> None:
    write_comment(bob, article)
    one, several = (
        reverse("admin:articles_article_delete", args=[article.pk]),
        reverse("admin:articles_article_changelist"),
    )

    for page in (deputy.get(one), select(deputy, several, article)):
        assert page.context["perms_lacking"] == {"comment"}
        assert "post" not in Form(page.content.decode(), "").values
    answer = {"post": "yes", "action": "delete_selected", "_selected_action": article.pk}
    assert deputy.post(one, answer).status_code == 403
    assert deputy.post(several, answer).status_code == 403
    assert Article.objects.count() == 1


def test_rows_without_admin_pages_are_deleted_with_the_row(
    deputy: Client, article: Article
) -> None:
    url = reverse("admin:articles_article_changelist")

    confirm(deputy, url, select(deputy, url, article))

    assert Article.objects.count() == 0
