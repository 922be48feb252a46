"""Every action in the admin leaves an entry in the audit log, and nobody can change an entry."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from articles.models import Article, Tag
from tests.builders import PASSWORD, make_user
from tests.forms import open_form, send
from users.admin_base import ModelAdmin
from users.audit import Action, AuditEntry, record
from users.models import User

LIST = reverse("admin:users_auditentry_changelist")
NEW = "another horse"


def entries() -> list[tuple[Any, ...]]:
    """What the log says, oldest first."""
    columns = ("actor_name", "action", "model", "object_name", "reason", "details")
    return [*AuditEntry.objects.order_by("pk").values_list(*columns)]


def test_every_admin_page_writes_to_the_audit_log() -> None:
    for model, model_admin in admin.site._registry.items():
        assert isinstance(model_admin, ModelAdmin), f"the admin page of {model} does not"


def test_adding_changing_and_deleting_a_row_are_logged(site: Client, editor: User) -> None:
    url = reverse("admin:articles_tag_add")
    send(site, url, form := open_form(site, url, "tag_form"))
    form.values["name"] = ["dragons"]
    send(site, url, form)
    tag = Tag.objects.get()
    url = reverse("admin:articles_tag_change", args=[tag.pk])
    form = open_form(site, url, "tag_form")
    form.values["name"] = ["griffins"]
    send(site, url, form)
    site.post(reverse("admin:articles_tag_delete", args=[tag.pk]), {"post": "yes", "reason": "No."})

    assert entries() == [
        ("editor", "add", "articles.tag", "dragons", "", "Added."),
        ("editor", "rename", "articles.tag", "griffins", "", "From “dragons” to “griffins”."),
        ("editor", "delete", "articles.tag", "griffins", "No.", ""),
    ]
    entry = AuditEntry.objects.earliest("pk")
    assert (entry.actor_id, entry.object_id) == (editor.pk, str(tag.pk))


def test_selected_rows_are_logged_with_the_reason(site: Client, alice: User) -> None:
    tags = Tag.objects.named(["dragons", "griffins"])
    data = {"action": "delete_selected", "_selected_action": [tag.pk for tag in tags]}
    site.post(reverse("admin:articles_tag_changelist"), data | {"post": "yes", "reason": " Spam "})

    assert [entry[1:5] for entry in entries()] == [
        ("delete", "articles.tag", "dragons", "Spam"),
        ("delete", "articles.tag", "griffins", "Spam"),
    ]


def test_new_rights_are_named(site: Client, bob: User) -> None:
    group = Group.objects.create(name="helpers")
    url = reverse("admin:users_user_change", args=[bob.pk])
    form = open_form(site, url, "user_form")
    form.values |= {"is_staff": ["on"], "groups": [str(group.pk)]}
    assert send(site, url, form).status_code == 302

    (entry,) = entries()
    assert entry[3] == "bob"
    assert "Staff (now yes)" in entry[5]
    assert "Groups (added helpers)" in entry[5]


def test_the_permissions_of_a_new_group_are_named(site: Client) -> None:
    permission = Permission.objects.get(codename="hide_article")
    data = {"name": "helpers", "permissions": [permission.pk]}
    site.post(reverse("admin:auth_group_add"), data)

    assert entries() == [
        ("editor", "add", "auth.group", "helpers", "", entries()[0][5]),
    ]
    assert "Can hide and restore articles" in entries()[0][5]


def test_a_new_password_is_logged_without_its_text(site: Client, bob: User, editor: User) -> None:
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    url = reverse("admin:auth_user_password_change", args=[bob.pk])
    site.post(url, form | {"set-password": "Change password"})
    own = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert site.post(reverse("admin:password_change"), own).status_code == 302

    assert [(*entry[:4], entry[5].lower()) for entry in entries()] == [
        ("editor", "change", "users.user", "bob", "changed password."),
        ("editor", "change", "users.user", "editor", "changed password."),
    ]
    bob.refresh_from_db()
    logged = str([*AuditEntry.objects.values()])
    assert NEW not in logged
    assert bob.password not in logged


def test_a_failed_action_leaves_no_entry(site: Client, article: Article) -> None:
    Article.objects.filter(pk=article.pk).delete()
    data = {"post": "yes"}

    site.post(reverse("admin:articles_article_delete", args=[article.pk]), data)

    assert entries() == []


def test_entries_stay_when_the_editor_and_the_row_are_deleted(
    editor: User, article: Article
) -> None:
    record(editor, Action.HIDE, [article])
    article.delete()
    editor.delete()

    assert [entry[:4] for entry in entries()] == [
        ("editor", "hide", "articles.article", "How to train your dragon")
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users_auditentry SET reason = 'none'",
        "UPDATE users_auditentry SET at = at + interval '1 day'",
        "DELETE FROM users_auditentry",
        "TRUNCATE users_auditentry",
    ],
)
def test_the_database_refuses_to_change_entries(editor: User, statement: str) -> None:
    record(editor, Action.CHANGE, [editor])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE users_auditentry ENABLE TRIGGER refuse_truncate")

        with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
            cursor.execute(statement)

    assert len(entries()) == 1


def test_a_fixture_can_be_loaded_over_its_own_entries(editor: User, tmp_path: Path) -> None:
    record(editor, Action.CHANGE, [editor])
    fixture = tmp_path / "audit.json"
    output = io.StringIO()
    call_command("dumpdata", "users.AuditEntry", stdout=output)
    fixture.write_text(output.getvalue())

    call_command("loaddata", fixture, verbosity=0)

    changed = json.loads(fixture.read_text())
    changed[0]["fields"]["reason"] = "Another"
    fixture.write_text(json.dumps(changed))
    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        call_command("loaddata", fixture, verbosity=0)
    assert len(entries()) == 1


# --- The page ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 20])
def test_the_list_shows_the_newest_first_with_few_queries(
    site: Client, editor: User, article: Article, number: int, django_assert_max_num_queries: Any
) -> None:
    gone = Tag.objects.create(name="gone")
    record(editor, Action.DELETE, [gone], reason="Old")
    gone.delete()
    for _ in range(number):
        record(editor, Action.HIDE, [article, *article.tags.all()], reason="<b>Spam</b>")

    # The session, the editor, the range of dates (4), the count, the entries, the articles, the
    # tags.
    with django_assert_max_num_queries(12):
        page = site.get(LIST).text

    assert page.index("dragons") < page.index("gone")
    assert "&lt;b&gt;Spam&lt;/b&gt;" in page
    assert reverse("admin:articles_article_change", args=[article.pk]) in page
    assert reverse("admin:articles_tag_change", args=[gone.pk]) not in page


def test_the_list_is_filtered_by_action_editor_and_day(site: Client, editor: User) -> None:
    other = make_user("other")
    record(editor, Action.HIDE, [editor])
    record(other, Action.RESTORE, [editor])

    def found(query: str) -> list[str]:
        return [entry.action for entry in site.get(LIST + query).context["cl"].result_list]

    assert found("") == ["restore", "hide"]
    assert found("?action__exact=hide") == ["hide"]
    assert found("?q=oth") == ["restore"]
    assert found("?q=ther") == []
    day = AuditEntry.objects.latest("pk").at.date()
    assert found(f"?at_from={day}&at_to={day}") == ["restore", "hide"]
    assert found(f"?at_to={day - timedelta(days=1)}") == []


def test_nobody_can_add_change_or_delete_an_entry(site: Client, editor: User) -> None:
    record(editor, Action.HIDE, [editor])
    entry = AuditEntry.objects.get()
    page = reverse("admin:users_auditentry_change", args=[entry.pk])

    assert site.get(page).status_code == 200
    assert site.post(page, {"reason": "Another"}).status_code == 403
    assert site.get(reverse("admin:users_auditentry_add")).status_code == 403
    url = reverse("admin:users_auditentry_delete", args=[entry.pk])
    assert site.post(url, {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"}
    site.post(LIST, data)
    assert AuditEntry.objects.filter(pk=entry.pk, reason="").exists()


def test_staff_need_the_permission_to_read_the_log(charlie: User) -> None:
    charlie.is_staff = True
    charlie.save()
    client = Client()
    client.force_login(charlie)
    assert client.get(LIST).status_code == 403
    charlie.user_permissions.add(Permission.objects.get(codename="view_auditentry"))
    assert client.get(LIST).status_code == 200
