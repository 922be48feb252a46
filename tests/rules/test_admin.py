"""The admin: every page opens and searches, and runs as many queries for 20 rows as for one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from articles.models import Article, Tag
from config.admin.site import AdminSite
from tests.builders import PASSWORD, follow, like, make_user, write_article, write_comment
from users.models import User

LISTS = {
    "users_user": "alice",
    "profiles_follow": "alice",
    "articles_article": "dragon",
    "articles_tag": "dragons",
    "articles_favorite": "bob",
    "articles_comment": "Comment",
}


@pytest.fixture
def content(article: Article, alice: User, bob: User) -> Article:
    like(bob, article)
    write_comment(bob, article)
    return article


def more_content(number: int) -> None:
    """A row in every list, with its own users and tags."""
    author = make_user(f"author{number}")
    article = write_article(author, tags=(f"tag{number}",))
    reader = make_user(f"reader{number}")
    follow(reader, author)
    like(reader, article)
    write_comment(reader, article)


@contextmanager
def statements() -> Iterator[Callable[[], int]]:
    with CaptureQueriesContext(connection) as captured:
        yield lambda: len(captured)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_runs_as_many_queries_for_20_rows_as_for_one(
    site: Client, content: Article, name: str
) -> None:
    url = reverse(f"admin:{name}_changelist")
    with statements() as few:
        assert site.get(url).status_code == 200
    for number in range(20):
        more_content(number)

    with statements() as many:
        assert site.get(url).status_code == 200

    assert many() == few()


def test_the_site_is_that_of_the_project() -> None:
    # Unfold's default configuration replaces `admin.site` after Django has created it.
    assert isinstance(admin.site, AdminSite)
    assert isinstance(admin.site._registry[User].admin_site, AdminSite)


def test_no_list_counts_all_rows_of_a_table() -> None:
    admins = {
        model: admin.site.get_model_admin(model)
        for model in apps.get_models()
        if admin.site.is_registered(model)
    }

    assert {User, Group, Article} <= admins.keys()
    assert not any(model_admin.show_full_result_count for model_admin in admins.values())


@pytest.mark.parametrize(("name", "words"), LISTS.items())
def test_every_list_can_be_searched(site: Client, content: Article, name: str, words: str) -> None:
    url = reverse(f"admin:{name}_changelist")

    assert site.get(url, {"q": words}).context["cl"].result_count >= 1
    assert site.get(url, {"q": "nobody knows this"}).context["cl"].result_count == 0


@pytest.mark.parametrize("name", LISTS)
def test_every_model_has_pages_to_change_and_add_a_row(
    site: Client, content: Article, name: str
) -> None:
    model = name.split("_")[1]
    rows = site.get(reverse(f"admin:{name}_changelist")).context["cl"].queryset

    assert site.get(reverse(f"admin:{name}_change", args=[rows[0].pk])).status_code == 200
    assert site.get(reverse(f"admin:{name}_add")).status_code == 200, model


@pytest.mark.parametrize(
    ("app", "model", "field", "term"),
    [
        ("articles", "article", "author", "ali"),
        ("articles", "tagging", "tag", "drag"),
        ("articles", "comment", "article", "drag"),
        ("articles", "favorite", "user", "bo"),
        ("profiles", "follow", "followed", "ali"),
    ],
)
def test_relations_have_autocompletion(
    site: Client, content: Article, app: str, model: str, field: str, term: str
) -> None:
    query = {"app_label": app, "model_name": model, "field_name": field, "term": term}

    response = site.get(reverse("admin:autocomplete"), query)

    assert len(response.json()["results"]) >= 1


def test_an_editor_logs_in_with_an_e_mail_in_any_case(editor: User) -> None:
    credentials = {"username": "EDITOR@Example.com", "password": PASSWORD}

    response = Client().post(reverse("admin:login"), credentials)

    assert response.status_code == 302


def test_a_new_article_gets_its_slug_tags_and_dates(site: Client, alice: User) -> None:
    tag = Tag.objects.create(name="dragons")
    form = {
        "author": alice.pk,
        "title": "How to train your dragon",
        "description": "Ever wonder how?",
        "body": "You have to believe",
        "tag_list": "dragons\nflight, and other things",
    }

    response = site.post(reverse("admin:articles_article_add"), form)

    assert response.status_code == 302
    article = Article.objects.get()
    assert article.slug == "how-to-train-your-dragon"
    assert article.created_at == article.updated_at
    assert tag in article.tags.all()
    assert article.tag_names == ["dragons", "flight, and other things"]


def test_a_name_taken_in_another_case_is_refused_with_a_message(site: Client, alice: User) -> None:
    form = {
        "email": "ALICE@example.com",
        "username": "ALICE",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }

    response = site.post(reverse("admin:users_user_add"), form)

    assert response.status_code == 200
    assert response.context["adminform"].errors.keys() == {"email", "username"}


def test_a_user_is_added_and_changed(site: Client) -> None:
    form = {
        "email": "dora@example.com",
        "username": "dora",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert site.post(reverse("admin:users_user_add"), form).status_code == 302
    dora = User.objects.get(username="dora")
    assert dora.check_password(PASSWORD)

    change = {
        "email": "dora@example.com",
        "username": "dora",
        "bio": "",
        "image": "",
        "is_active": "on",
    }
    url = reverse("admin:users_user_change", args=[dora.pk])
    assert site.post(url, change).status_code == 302
    dora.refresh_from_db()
    assert dora.bio is None


@pytest.mark.parametrize("name", LISTS)
def test_every_row_can_be_deleted_with_the_rows_that_belong_to_it(
    site: Client, content: Article, name: str
) -> None:
    rows = site.get(reverse(f"admin:{name}_changelist")).context["cl"].queryset
    row = rows.exclude(username="editor")[0] if name == "users_user" else rows[0]
    url = reverse(f"admin:{name}_delete", args=[row.pk])

    assert site.get(url).status_code == 200
    assert site.post(url, {"post": "yes"}).status_code == 302
    assert not rows.filter(pk=row.pk).exists()


def test_unused_tags_can_be_found(site: Client, content: Article) -> None:
    Tag.objects.create(name="forgotten")
    url = reverse("admin:articles_tag_changelist")

    assert [*site.get(url, {"has_articles": "no"}).context["cl"].queryset] == [
        Tag.objects.get(name="forgotten")
    ]
    assert site.get(url, {"has_articles": "yes"}).context["cl"].result_count == 2
