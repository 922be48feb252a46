"""Rows of the admin are named by what people read, and lead to the rows that belong to them."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection, models
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from articles.models import Article, Comment, Favorite, Tag
from profiles.models import Follow
from tests.builders import like, make_user, write_article, write_comment
from users.models import User


def list_of(model: type[models.Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(row: models.Model) -> str:
    options = row._meta
    return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response
    return response.content.decode()


def test_rows_have_readable_names(article: Article, alice: User, bob: User) -> None:
    comment = write_comment(bob, article, body="I agree.\nAlways  look at the dragon.")

    assert str(comment) == (
        "Comment by bob on “How to train your dragon”: I agree. Always look at the dragon."
    )
    assert str(like(bob, article)) == "bob likes “How to train your dragon”"
    assert str(Follow.objects.get()) == "bob follows alice"
    tagging = article.taggings.get(tag__name="dragons")
    assert str(tagging) == "dragons on “How to train your dragon”"


def test_names_are_short(alice: User) -> None:
    article = write_article(alice, title="x" * 255)

    assert len(str(write_comment(alice, article, body="y" * 10_000))) < 200
    assert len(str(like(alice, article))) < 100


def test_every_link_of_a_list_leads_to_a_page(site: Client, article: Article, bob: User) -> None:
    like(bob, article)
    write_comment(bob, article)

    for model in (User, Article, Comment, Tag, Follow, Favorite):
        html = page(site, list_of(model))
        addresses = set(re.findall(r'class="text-link" href="([^"]+)"', html))
        assert addresses, model
        for address in addresses:
            assert site.get(address.replace("&amp;", "&")).status_code == 200, address


@pytest.mark.parametrize(
    ("model", "relation", "expected"),
    [
        ("articles_article", "author", "How to train your dragon"),
        ("articles_comment", "author", "The comment"),
        ("articles_favorite", "user", "alice likes"),
        ("profiles_follow", "followed", "bob follows alice"),
    ],
)
def test_the_page_of_a_user_leads_to_filtered_lists(
    site: Client, article: Article, alice: User, bob: User, model: str, relation: str, expected: str
) -> None:
    for user, text in ((alice, "The comment"), (bob, "Another comment")):
        like(user, article)
        write_comment(user, article, body=text)
    address = f"{reverse(f'admin:{model}_changelist')}?{relation}__id__exact={alice.pk}"

    assert f'href="{address}"' in page(site, page_of(alice))
    response = site.get(address)
    assert response.context["cl"].result_count == 1
    assert expected in response.content.decode()


def test_a_tag_leads_to_its_articles(site: Client, article: Article, alice: User) -> None:
    write_article(alice, title="Without a tag")
    tag = Tag.objects.get(name="dragons")
    address = f"{list_of(Article)}?tags__id__exact={tag.pk}"

    html = page(site, list_of(Tag))

    assert f'href="{address}"' in html
    assert "articles.Article.None" not in html
    assert [*site.get(address).context["cl"].queryset] == [article]


def test_an_editor_sees_no_link_that_is_forbidden(article: Article) -> None:
    editor = make_user("editor", is_staff=True)
    editor.user_permissions.add(Permission.objects.get(codename="view_article"))
    client = Client()
    client.force_login(editor)

    html = page(client, list_of(Article))
    assert "alice" in html
    assert "/admin/users/" not in html
    assert "/admin/articles/comment/" not in html
    assert client.get(page_of(article)).context["related_lists"] == []


def test_lists_do_not_load_large_texts(site: Client, article: Article, bob: User) -> None:
    like(bob, article)
    write_comment(bob, article)

    for model in (Article, Comment, Favorite):
        with CaptureQueriesContext(connection) as queries:
            page(site, list_of(model))
        loaded = [re.findall(r'(?<!LEFT\()"\w+"\."body"', each["sql"]) for each in queries]
        assert not any(loaded), model


def test_no_request_is_kept_for_other_threads(site: Client, article: Article) -> None:
    for model, model_admin in admin.site._registry.items():
        site.get(list_of(model))
        assert not [value for value in vars(model_admin).values() if isinstance(value, HttpRequest)]


def test_a_long_title_is_cut_and_its_tooltip_is_complete(site: Client, alice: User) -> None:
    title = "A title with a good many words " * 8
    write_article(alice, title=title[:255].strip())

    html = page(site, list_of(Article))

    assert f'title="{title[:255].strip()}"' in html


def test_states_are_words(site: Client, article: Article, alice: User) -> None:
    Article.objects.filter(pk=article.pk).update(hidden_at=timezone.now())
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert ">Hidden<" in page(site, list_of(Article))
    assert ">Suspended<" in page(site, list_of(User))


def test_view_on_site_leads_to_an_existing_page(site: Client, article: Article, bob: User) -> None:
    for row in (article, write_comment(bob, article), bob):
        found = re.search(r'href="(/(?:api|article|profile)[^"]*)"', page(site, page_of(row)))
        assert found
        assert Client().get(found[1]).status_code == 200


def test_hidden_rows_have_no_view_on_site(site: Client, article: Article) -> None:
    Article.objects.filter(pk=article.pk).update(hidden_at=timezone.now())

    assert "View on site" not in page(site, page_of(article))
