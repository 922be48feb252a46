"""The tags of an article in the admin: typed in one field, by the rules of the API."""

from functools import partial

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from articles.entries import MOST_TAGS
from articles.models import Article, Tag
from tests.builders import make_user, write_article
from tests.client import ApiClient
from tests.forms import Form, open_form, send
from tests.races import at_once
from users.models import User


def url_of(article: Article) -> str:
    return reverse("admin:articles_article_change", args=[article.pk])


def form_of(site: Client, article: Article) -> Form:
    return open_form(site, url_of(article), "article_form")


def test_a_tag_may_contain_a_comma_and_duplicates_are_merged(site: Client, alice: User) -> None:
    article = write_article(alice)
    form = form_of(site, article)
    form.values["tag_list"] = [" a, b \n\nx\nx\nX\n"]

    assert send(site, url_of(article), form).status_code == 302

    article.refresh_from_db()
    assert article.tag_names == ["X", "a, b", "x"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\u200b", "cannot be blank"),
        ("a\u2028b", "must be one line"),
        ("x" * 65, "at most 64 characters"),
        ("\n".join(map(str, range(MOST_TAGS + 1))), f"at most {MOST_TAGS} tags"),
    ],
    ids=["blank", "two lines", "too long", "too many"],
)
def test_a_tag_that_the_api_refuses_is_refused(
    site: Client, article: Article, text: str, problem: str
) -> None:
    form = form_of(site, article)
    form.values["tag_list"] = [text]

    response = send(site, url_of(article), form)

    assert response.context["adminform"].errors.keys() == {"tag_list"}
    assert problem in response.content.decode()
    article.refresh_from_db()
    assert article.tag_names == ["dragons", "training"]
    assert Tag.objects.count() == 2


def test_a_refused_form_keeps_what_was_typed(site: Client, article: Article) -> None:
    form = form_of(site, article)
    form.values["tag_list"] = ["new\ntags"]
    form.values["title"] = [""]

    refused = send(site, url_of(article), form)

    form = Form(refused.content.decode(), "article_form")
    assert form.values["tag_list"] == ["new\ntags"]
    form.values["title"] = ["A title"]
    assert send(site, url_of(article), form).status_code == 302
    article.refresh_from_db()
    assert article.tag_names == ["new", "tags"]


def test_all_tags_can_be_removed(site: Client, article: Article) -> None:
    form = form_of(site, article)
    form.values["tag_list"] = [""]

    assert send(site, url_of(article), form).status_code == 302

    assert Article.objects.get().tag_names == []


def test_a_script_without_the_field_changes_no_tags(site: Client, article: Article) -> None:
    form = {"author": article.author_id, "title": "T", "description": "D", "body": "B"}

    assert site.post(url_of(article), form).status_code == 302

    article.refresh_from_db()
    assert (article.title, article.tag_names) == ("T", ["dragons", "training"])


def test_staff_who_may_only_view_an_article_see_its_tags_and_create_none(article: Article) -> None:
    viewer = make_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_article"))
    client = Client()
    client.force_login(viewer)

    assert "dragons, training" in client.get(url_of(article)).content.decode()
    assert client.post(url_of(article), {"tag_list": "fire"}).status_code == 403
    assert not Tag.objects.filter(name="fire").exists()


@pytest.mark.django_db(transaction=True)
def test_tags_of_the_admin_and_the_api_at_the_same_time(site: Client, alice: User) -> None:
    api = ApiClient(alice)
    for number in range(15):
        article = write_article(alice, tags=("a", "b"))
        form = form_of(site, article)
        form.values["tag_list"] = [f"b\na\nnew {number}\nadmin"]
        body = {"article": {"tagList": ["c", f"new {number}", "api"]}}

        saved, put = at_once(
            [
                partial(send, site, url_of(article), form),
                partial(api.put, f"/api/articles/{article.slug}", body),
            ]
        )

        assert (saved.status_code, put.status_code) == (302, 200)
        article.refresh_from_db()
        assert article.tag_names in (
            ["a", "admin", "b", f"new {number}"],
            ["api", "c", f"new {number}"],
        )
