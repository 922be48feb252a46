"""A form of the admin writes only the fields that the editor has changed, and keeps all others
byte for byte."""

from functools import partial
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from articles.models import BODY_LENGTH, Article, Comment, Favorite, Tag
from profiles.models import Follow
from tests.builders import PASSWORD, like, make_user, write_article, write_comment
from tests.forms import Form, open_form, send
from tests.races import at_once
from users.audit import AuditEntry
from users.models import User
from users.names import fold

TEXTS = {
    "spaces": "  around  ",
    "line feed": "one\ntwo",
    "carriage return": "one\rtwo",
    "crlf": "one\r\ntwo\r\n",
    "mixed line ends": "\n\r\n\r\r\n\n one \n\r two \r",
    "only line ends": "\n\n",
    "tabs": "\tone\t\ttwo\t",
    "separators": "\u2028one\u2029two\x85three\x0b\x0c\x1c\u00a0",
    "emoji": "👩‍👩‍👧 \U0001f600\ufe0f",
    "not normalised": "e\u0301 \u212b \uff41",
    "markup": "</textarea><b>&amp;&#10;\"'`",
    "invisible": "\u200b\ufeff\u3164",
}


@pytest.fixture
def rows(article: Article, alice: User, bob: User) -> dict[type[models.Model], models.Model]:
    """One row of every model in the admin."""
    group = Group.objects.create(name="Editors")
    group.permissions.set(Permission.objects.all()[:2])
    alice.groups.add(group)
    alice.user_permissions.set(Permission.objects.all()[2:4])
    return {
        User: alice,
        Group: group,
        Article: article,
        Tag: Tag.objects.get(name="dragons"),
        Comment: write_comment(bob, article),
        Favorite: like(bob, article),
        Follow: Follow.objects.get(),
    }


def url_of(row: models.Model) -> str:
    options = row._meta
    return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])


def form_of(site: Client, row: models.Model) -> Form:
    return open_form(site, url_of(row), f"{row._meta.model_name}_form")


def save(site: Client, row: models.Model, form: Form) -> None:
    response = send(site, url_of(row), form)
    errors = response.context and response.context["errors"]
    assert response.status_code == 302, errors


def stored(row: models.Model) -> dict[str, Any]:
    """All columns of the row, and the keys of its many-to-many relations."""
    columns: dict[str, Any] = type(row)._default_manager.filter(pk=row.pk).values().get()
    for field in row._meta.many_to_many:
        columns[field.name] = sorted(getattr(row, field.name).values_list("pk", flat=True))
    return columns


def write_raw(row: models.Model, **texts: str | None) -> None:
    """Plain SQL, because stored texts may break the rules of the ORM."""
    columns = ", ".join(f'"{name}" = %s' for name in texts)
    statement = f'UPDATE "{row._meta.db_table}" SET {columns} WHERE id = %s'  # noqa: S608 -- our names
    with connection.cursor() as cursor:
        cursor.execute(statement, [*texts.values(), row.pk])


def text_fields(model: type[models.Model]) -> list[str]:
    return [
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField)
        if field.editable and field.name != "password"
    ]


def test_rows_has_every_model(rows: dict[type[models.Model], models.Model]) -> None:
    assert rows.keys() == admin.site._registry.keys() - {AuditEntry}  # nobody can change one


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_saving_an_untouched_form_changes_nothing(
    site: Client, rows: dict[type[models.Model], models.Model], text: str
) -> None:
    for row in rows.values():
        if names := text_fields(type(row)):
            write_raw(row, **dict.fromkeys(names, text))
        before = stored(row)

        save(site, row, form_of(site, row))

        assert stored(row) == before


def test_saving_an_untouched_form_keeps_null(site: Client, alice: User) -> None:
    save(site, alice, form_of(site, alice))

    alice.refresh_from_db()
    assert alice.bio is None
    assert alice.image is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("body", "line\n" * (BODY_LENGTH // 5)),
        ("body", "\r\n" * (BODY_LENGTH // 2)),
        ("body", "\U0001f600" * BODY_LENGTH),
        ("description", "\n" * 1000),
        ("title", "\U0001f600" * 255),
    ],
)
def test_a_text_of_the_maximum_length_can_be_saved(
    site: Client, article: Article, name: str, text: str
) -> None:
    write_raw(article, **{name: text})
    before = stored(article)
    form = form_of(site, article)
    save(site, article, form)
    assert stored(article) == before

    form.values[name] = [form.values[name][0][:-1] + "."]
    save(site, article, form)

    written = stored(article)[name]
    assert written.endswith(".")
    assert len(written) <= len(text)


def test_inputs_have_no_maxlength(site: Client, article: Article) -> None:
    # Browsers count UTF-16 code units, and would refuse texts that the API accepts.
    page = site.get(url_of(article)).content.decode()

    assert "maxlength" not in page


def test_a_text_that_is_too_long_is_refused(site: Client, article: Article) -> None:
    form = form_of(site, article)
    form.values["body"] = ["x" * (BODY_LENGTH + 1)]

    response = send(site, url_of(article), form)

    assert response.context["adminform"].errors.keys() == {"body"}


def test_a_changed_text_has_line_feeds_and_keeps_its_spaces(site: Client, article: Article) -> None:
    form = form_of(site, article)
    form.values["body"] = ["  one\n\n two \n"]
    form.values["description"] = [" one\ntwo "]
    form.values["title"] = [" A new title "]

    save(site, article, form)

    article.refresh_from_db()
    assert article.body == "  one\n\n two \n"
    assert article.description == " one\ntwo "
    assert article.title == "A new title"


def test_line_breaks_of_a_user_can_be_edited(site: Client, alice: User) -> None:
    form = form_of(site, alice)
    form.values["bio"] = ["one\ntwo"]
    form.values["image"] = ["data:\nimage"]

    save(site, alice, form)

    alice.refresh_from_db()
    assert (alice.bio, alice.image) == ("one\ntwo", "data:\nimage")


@pytest.mark.parametrize("name", ["title", "description", "body"])
def test_a_blank_text_is_refused(site: Client, article: Article, name: str) -> None:
    form = form_of(site, article)
    form.values[name] = [" \n "]

    response = send(site, url_of(article), form)

    assert response.context["adminform"].errors.keys() == {name}


@pytest.mark.parametrize("title", ["\u200b", "\u3164", "a\tb", "a\u2028b"], ids=ascii)
def test_a_title_is_one_line_with_a_visible_character(
    site: Client, article: Article, title: str
) -> None:
    form = form_of(site, article)
    form.values["title"] = [title]

    response = send(site, url_of(article), form)

    assert response.context["adminform"].errors.keys() == {"title"}


def test_only_the_changed_field_is_written(
    site: Client, rows: dict[type[models.Model], models.Model]
) -> None:
    alice = rows[User]
    name = "No longer allowed!"
    write_raw(alice, username=name, username_folded=fold(name), bio=" a\r\nb ", image="\r")
    before = stored(alice)
    form = form_of(site, alice)
    del form.values["is_active"]

    save(site, alice, form)

    assert stored(alice) == before | {"is_active": False}


def test_a_title_with_a_line_break_keeps_its_slug(site: Client, article: Article) -> None:
    write_raw(article, title="How to train\nyour dragon, again")
    form = form_of(site, article)
    form.values["body"] = ["Another text"]

    save(site, article, form)

    saved = Article.objects.get()
    assert saved.title == "How to train\nyour dragon, again"
    assert saved.slug == article.slug
    assert saved.updated_at > article.updated_at


def test_only_a_new_title_changes_the_slug(site: Client, article: Article) -> None:
    form = form_of(site, article)
    form.values["title"] = ["A new title"]

    save(site, article, form)

    assert Article.objects.get().slug == "a-new-title"


def test_a_change_of_tags_moves_updated_at(site: Client, article: Article) -> None:
    form = form_of(site, article)
    assert form.values["tag_list"] == ["dragons\ntraining"]
    form.values["tag_list"] = ["dragons\ntraining\nfire"]

    save(site, article, form)

    saved = Article.objects.get()
    assert {tag.name for tag in saved.tags.all()} == {"dragons", "fire", "training"}
    assert saved.tag_names == ["dragons", "fire", "training"]
    assert saved.updated_at > article.updated_at
    assert saved.slug == article.slug


def test_a_removed_tag_moves_updated_at(site: Client, article: Article) -> None:
    form = form_of(site, article)
    form.values["tag_list"] = ["dragons"]

    save(site, article, form)

    assert Article.objects.get().tags.count() == 1
    assert Article.objects.get().updated_at > article.updated_at


def test_two_editors_can_change_different_fields(site: Client, article: Article) -> None:
    first, second = form_of(site, article), form_of(site, article)
    first.values["title"] = ["The title of the first"]
    second.values["body"] = ["The body of the second"]

    save(site, article, first)
    save(site, article, second)

    saved = Article.objects.get()
    assert saved.title == "The title of the first"
    assert saved.slug == "the-title-of-the-first"
    assert saved.body == "The body of the second"


def test_a_stale_form_does_not_undo_changes(
    site: Client, rows: dict[type[models.Model], models.Model]
) -> None:
    alice = rows[User]
    assert isinstance(alice, User)
    form = form_of(site, alice)
    alice.bio, alice.is_active, alice.username = "New\nbio", False, "alicia"
    alice.set_password("another password")
    alice.save()
    alice.groups.clear()
    alice.user_permissions.add(Permission.objects.all()[5])
    before = stored(alice)
    form.values["image"] = ["https://example.com/alice.png"]

    save(site, alice, form)

    assert stored(alice) == before | {"image": "https://example.com/alice.png"}


def test_a_stale_form_keeps_a_group_that_was_added_meanwhile(site: Client, alice: User) -> None:
    form = form_of(site, alice)
    group = Group.objects.create(name="Editors")
    alice.groups.add(group)

    save(site, alice, form)

    assert [*alice.groups.all()] == [group]


def test_a_refused_form_keeps_the_values_that_it_first_showed(
    site: Client, article: Article
) -> None:
    form = form_of(site, article)
    form.values["title"] = [""]
    refused = send(site, url_of(article), form)
    Article.objects.filter(pk=article.pk).update(body="Another text")
    form = Form(refused.content.decode(), "article_form")
    form.values["title"] = ["A new title"]

    save(site, article, form)

    saved = Article.objects.get()
    assert (saved.title, saved.body) == ("A new title", "Another text")


def test_a_row_that_was_deleted_meanwhile_is_reported(site: Client, article: Article) -> None:
    form = form_of(site, article)
    form.values["title"] = ["A new title"]
    article.delete()

    response = send(site, url_of(article), form)

    assert (response.status_code, response["Location"]) == (302, reverse("admin:index"))


@pytest.mark.django_db(transaction=True)
def test_a_simultaneous_save_and_deletion_cause_no_error(site: Client, alice: User) -> None:
    for _ in range(30):
        article = write_article(alice)
        form = form_of(site, article)
        form.values["title"] = ["A new title"]

        response, _ = at_once(
            [
                partial(send, site, url_of(article), form),
                Article.objects.filter(pk=article.pk).delete,
            ]
        )

        assert response.status_code == 302


@pytest.mark.django_db(transaction=True)
def test_simultaneous_saves_of_two_editors_are_both_kept(site: Client, alice: User) -> None:
    for number in range(30):
        article = write_article(alice)
        changes = {"title": f"Title {number}", "body": f"Body {number}"}
        forms = []
        for name, text in changes.items():
            form = form_of(site, article)
            form.values[name] = [text]
            forms.append(form)

        responses = at_once([partial(send, site, url_of(article), form) for form in forms])

        assert [response.status_code for response in responses] == [302, 302]

        article.refresh_from_db()
        assert (article.title, article.body) == (*changes.values(),)
        assert article.slug.startswith(f"title-{number}")


def test_a_duplicate_is_an_error_of_the_form(site: Client, bob: User) -> None:
    follow = Follow.objects.get()
    other = Follow.objects.create(follower=bob, followed=make_user("dora"))
    form = form_of(site, other)
    form.values["followed"] = [str(follow.followed_id)]

    response = send(site, url_of(other), form)

    assert response.status_code == 200
    assert response.context["adminform"].form.non_field_errors()


def test_an_untouched_form_keeps_the_password(site: Client, alice: User) -> None:
    form = form_of(site, alice)
    form.values["bio"] = ["New"]

    save(site, alice, form)

    assert User.objects.get(pk=alice.pk).check_password(PASSWORD)


def test_new_rows_keep_their_text(site: Client, alice: User) -> None:
    form = open_form(site, reverse("admin:articles_article_add"), "article_form")
    form.values |= {
        "author": [str(alice.pk)],
        "title": ["A title"],
        "description": [" one\ntwo "],
        "body": ["\n\n three\n"],
    }

    assert send(site, reverse("admin:articles_article_add"), form).status_code == 302

    saved = Article.objects.get()
    assert (saved.description, saved.body) == (" one\ntwo ", "\n\n three\n")
    assert saved.created_at == saved.updated_at


def test_an_untouched_form_does_not_write_to_the_articles_of_the_user(
    site: Client, alice: User
) -> None:
    article = write_article(alice, title="Unchanged", tags=("b", "a"))

    save(site, article, form_of(site, article))

    assert Article.objects.get().updated_at == article.updated_at
