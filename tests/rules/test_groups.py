"""The groups "moderator" and "editor", which a migration adds."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from articles.models import Article
from tests.builders import like, make_group, make_staff, write_comment
from tests.groups import add_groups, group, migration, remove_groups
from users.models import User

pytestmark = pytest.mark.django_db


def labels_of(name: str) -> set[str]:
    permissions = Group.objects.get(name=name).permissions.select_related("content_type")
    return {f"{each.content_type.app_label}.{each.codename}" for each in permissions}


def test_the_groups_have_the_permissions_of_their_work() -> None:
    add_groups()

    assert labels_of("moderator") == {*migration.MODERATOR}
    assert labels_of("editor") == {*migration.EDITOR}
    assert not any("permission" in label or "group" in label for label in labels_of("editor"))


def test_an_existing_group_keeps_what_it_has() -> None:
    Group.objects.all().delete()
    make_group("moderator", "delete_comment")

    add_groups()
    add_groups()

    assert labels_of("moderator") == {*migration.MODERATOR, "articles.delete_comment"}


def test_permissions_are_added_to_a_new_database() -> None:
    Permission.objects.all().delete()

    add_groups()

    assert labels_of("editor") == {*migration.EDITOR}
    names = dict(Permission.objects.values_list("codename", "name"))
    assert names["view_article"] == "Can view article"


def test_the_names_of_permissions_are_those_of_the_models() -> None:
    declared = {
        codename: name for model in apps.get_models() for codename, name in model._meta.permissions
    }

    for codename in migration.NAMES.keys() - {"view_auditentry"}:
        assert migration.NAMES[codename] == declared[codename]


def test_the_reversal_removes_only_unchanged_groups() -> None:
    group("moderator").permissions.add(Permission.objects.get(codename="delete_comment"))
    remove_groups()
    assert {*Group.objects.values_list("name", flat=True)} == {"moderator"}

    make_staff("member", groups=(group("editor"),))
    remove_groups()
    assert {*Group.objects.values_list("name", flat=True)} == {"moderator", "editor"}


def test_a_moderator_sees_everything_and_changes_no_text(
    article: Article, alice: User, bob: User
) -> None:
    like(bob, article)
    comment = write_comment(bob, article)
    moderator = Client()
    moderator.force_login(make_staff("moderator", groups=(group("moderator"),)))

    for name in ("article", "comment", "tag", "favorite"):
        assert moderator.get(reverse(f"admin:articles_{name}_changelist")).status_code == 200
        assert moderator.get(reverse(f"admin:articles_{name}_add")).status_code == 403
    for url in (
        reverse("admin:users_user_changelist"),
        reverse("admin:profiles_follow_changelist"),
        reverse("admin:users_user_change", args=[alice.pk]),
        reverse("admin:articles_comment_change", args=[comment.pk]),
    ):
        assert moderator.get(url).status_code == 200
    for url in (
        reverse("admin:auth_group_changelist"),
        reverse("admin:articles_comment_delete", args=[comment.pk]),
        reverse("admin:users_user_delete", args=[bob.pk]),
        reverse("admin:auth_user_password_change", args=[bob.pk]),
    ):
        assert moderator.get(url).status_code == 403
    url = reverse("admin:articles_article_change", args=[article.pk])
    assert moderator.post(url, {"title": "Changed"}).status_code == 403


def test_an_editor_changes_articles_but_no_users(article: Article, alice: User, bob: User) -> None:
    like(bob, article)
    write_comment(bob, article)
    editor = Client()
    editor.force_login(make_staff("editor", groups=(group("editor"),)))

    assert editor.get(reverse("admin:articles_article_add")).status_code == 200
    assert editor.get(reverse("admin:users_user_change", args=[alice.pk])).status_code == 200
    for url in (
        reverse("admin:users_user_add"),
        reverse("admin:users_user_delete", args=[bob.pk]),
        reverse("admin:auth_group_changelist"),
    ):
        assert editor.get(url).status_code == 403
    url = reverse("admin:articles_article_delete", args=[article.pk])
    assert editor.post(url, {"post": "yes"}).status_code == 302
    assert not Article.objects.exists()
