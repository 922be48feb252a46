"""Two editors save at the same moment, or one editor presses "Save" twice."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.test import Client
from django.urls import reverse

from articles.models import Favorite, Tag
from profiles.models import Follow
from tests.builders import write_article
from tests.races import at_once, while_deleting
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def page(model: type[models.Model], pk: int | None = None) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    return reverse(f"{name}_change", args=[pk]) if pk else reverse(f"{name}_add")


def sender(editor: User, url: str, data: dict[str, Any]) -> Callable[[], Any]:
    client = Client()
    client.force_login(editor)
    return lambda: client.post(url, data)


def test_of_two_equal_new_rows_one_is_added(editor: User, alice: User, bob: User) -> None:
    article = write_article(alice)
    names = {"username": "dora", "email": "dora@example.com"}
    forms: dict[type[models.Model], dict[str, Any]] = {
        User: names | {"password1": "password1", "password2": "password1"},
        Tag: {"name": "new"},
        Favorite: {"user": bob.pk, "article": article.pk},
        Follow: {"follower": alice.pk, "followed": bob.pk},
    }
    for model, data in forms.items():
        data |= {"usable_password": "true"} if model is User else {}
        before = model._default_manager.count()

        answers = at_once([sender(editor, page(model), data) for _ in range(3)])

        assert sorted(answer.status_code for answer in answers) == [200, 200, 302]
        refused = [answer.text.lower() for answer in answers if answer.status_code == 200]
        assert all("already" in text for text in refused)
        assert model._default_manager.count() == before + 1


def test_of_two_tags_with_the_same_new_name_one_gets_it(editor: User) -> None:
    tags = Tag.objects.named(["a", "b", "c"])

    answers = at_once([sender(editor, page(Tag, tag.pk), {"name": "new"}) for tag in tags])

    assert sorted(answer.status_code for answer in answers) == [200, 200, 302]
    assert Tag.objects.filter(name="new").count() == 1


def test_a_row_is_added_to_one_that_is_deleted_at_the_same_moment(
    editor: User, alice: User, bob: User
) -> None:
    article = write_article(alice)
    send = sender(editor, page(Favorite), {"user": bob.pk, "article": article.pk})

    answer = while_deleting(article, send)

    assert answer.status_code == 200
    assert "not one of the available choices" in answer.text
