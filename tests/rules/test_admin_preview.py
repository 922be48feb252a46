"""The preview of Markdown in the admin."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from articles.models import BODY_LENGTH, Article
from tests.builders import make_user, write_article, write_comment
from users.models import User

URLS = ["admin:articles_article_preview", "admin:articles_comment_preview"]


@pytest.mark.parametrize("name", URLS)
def test_the_preview_is_rendered_safely(site: Client, name: str) -> None:
    text = "# Title\n\n*stress* <script>alert(1)</script> [x](javascript:alert(1))"

    response = site.post(reverse(name), {"text": text})

    html = response.content.decode()
    assert response.status_code == 200
    assert "<em>stress</em>" in html
    assert "<script" not in html
    assert 'href="javascript' not in html


def test_the_page_shows_the_preview_of_the_stored_text(site: Client, alice: User) -> None:
    article = write_article(alice, body="A *stressed* word")
    comment = write_comment(alice, article, body="A **strong** word")

    for row, html in ((article, "<em>stressed</em>"), (comment, "<strong>strong</strong>")):
        url = reverse(f"admin:articles_{row._meta.model_name}_change", args=[row.pk])
        assert html in site.get(url).content.decode()


def test_a_text_that_is_too_long_is_refused(site: Client) -> None:
    response = site.post(reverse(URLS[0]), {"text": "x" * (BODY_LENGTH + 1)})

    assert response.status_code == 413


def test_the_preview_needs_a_permission(article: Article) -> None:
    editor = make_user("editor", is_staff=True)
    editor.user_permissions.add(Permission.objects.get(codename="view_comment"))
    client = Client()
    client.force_login(editor)

    assert client.post(reverse(URLS[0]), {"text": "x"}).status_code == 403
    assert client.post(reverse(URLS[1]), {"text": "x"}).status_code == 200
    assert Client().post(reverse(URLS[1]), {"text": "x"}).status_code == 302


def test_the_preview_needs_a_token_against_forgery(editor: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(editor)

    assert client.post(reverse(URLS[0]), {"text": "x"}).status_code == 403
    assert client.get(reverse(URLS[0])).status_code == 405
