"""The admin pages of users and groups give nobody more rights, and lock nobody out."""

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from tests.builders import make_group, make_staff, make_superuser, make_user
from tests.forms import Form, open_form, send
from tests.races import Call, at_once
from users.admin import UserAdmin
from users.models import User

pytestmark = pytest.mark.django_db

USERS = "/admin/users/user/"


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page_of(row: User | Group, page: str = "change") -> str:
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_{page}", args=[row.pk])


def form_of(client: Client, row: User | Group) -> Form:
    return open_form(client, page_of(row), f"{row._meta.model_name}_form")


def permission(codename: str) -> Permission:
    return Permission.objects.get(codename=codename)


@pytest.fixture
def people_editor(db: None) -> User:
    """May change users and groups, and articles by a group."""
    writers = make_group("writers", "change_article")
    rights = ("add_user", "change_user", "view_user", "delete_user")
    of_groups = ("add_group", "change_group", "view_group", "delete_group")
    return make_staff("people", *rights, *of_groups, groups=(writers,))


@pytest.fixture
def people(people_editor: User) -> Client:
    return client_of(people_editor)


def test_a_right_that_the_editor_has_can_be_given(people: Client, alice: User) -> None:
    form = form_of(people, alice)
    form.values["is_staff"] = ["on"]
    form.values["user_permissions"] = [str(permission("change_article").pk)]
    form.values["groups"] = [str(Group.objects.get(name="writers").pk)]

    assert send(people, page_of(alice), form).status_code == 302

    alice.refresh_from_db()
    assert alice.is_staff
    assert [each.codename for each in alice.user_permissions.all()] == ["change_article"]
    assert [group.name for group in alice.groups.all()] == ["writers"]


@pytest.mark.parametrize("target", ["alice", "people"])
def test_a_crafted_request_gives_no_right_that_the_editor_lacks(
    people: Client, people_editor: User, alice: User, target: str
) -> None:
    user = User.objects.get(username=target)
    publishers = make_group("publishers", "delete_article")
    form = form_of(people, user)
    assert "is_superuser" not in form.values
    for name, value in (
        ("is_superuser", "on"),
        ("user_permissions", str(permission("delete_article").pk)),
        ("groups", str(publishers.pk)),
    ):
        form.values.setdefault(name, []).append(value)
    form.values["bio"] = ["A text that is not lost"]

    response = send(people, page_of(user), form)

    assert response.status_code == 200
    errors = response.context["adminform"].errors
    assert errors.keys() == {"__all__", "user_permissions", "groups"}
    assert "A text that is not lost" in response.content.decode()
    user.refresh_from_db()
    assert not user.is_superuser
    assert not user.has_perm("articles.delete_article")
    assert user.bio is None


def test_the_form_offers_only_what_the_editor_may_give(people: Client, alice: User) -> None:
    make_group("publishers", "delete_article")

    fields = people.get(page_of(alice)).context["adminform"].form.fields

    assert [group.name for group in fields["groups"].queryset] == ["writers"]
    names = {each.codename for each in fields["user_permissions"].queryset}
    assert {"change_article", "change_user"} <= names
    assert not names & {"delete_article", "add_permission"}
    assert fields["is_superuser"].disabled


def test_the_form_offers_only_permissions_on_models_with_pages(alice: User) -> None:
    alice.user_permissions.add(permission("delete_session"))
    root = client_of(make_superuser("root"))

    fields = root.get(page_of(alice)).context["adminform"].form.fields

    offered = [*fields["user_permissions"].queryset]
    models = {each.content_type.model for each in offered}
    assert {"user", "group", "article", "comment", "tag", "favorite", "follow"} <= models
    internal = {"contenttype", "logentry", "permission", "deletion", "knownaddress", "oldslug"}
    assert not models & {*internal, "totpdevice", "staticdevice", "tagging", "tally"}
    declared = {"view_pool", "suspend_user", "hide_article", "hide_comment", "merge_tag"}
    assert declared <= {each.codename for each in offered}
    assert not {"add_idempotencykey", "delete_auditentry"} & {each.codename for each in offered}
    # What a user already has stays when the form is saved.
    assert "session" in models
    fields = root.get(reverse("admin:auth_group_add")).context["adminform"].form.fields
    assert "session" not in {each.content_type.model for each in fields["permissions"].queryset}


def test_a_user_with_more_rights_cannot_be_touched(people: Client) -> None:
    root = make_superuser("root")
    publisher = make_staff("publisher", groups=(make_group("publishers", "delete_article"),))
    for user in (root, publisher):
        before = User.objects.filter(pk=user.pk).values().get()
        values = {"username": user.username, "email": "people@example.com", "is_staff": "on"}
        assert people.post(page_of(user), values).status_code == 403
        password = {"password1": "another horse", "password2": "another horse"}
        url = reverse("admin:auth_user_password_change", args=[user.pk])
        assert people.get(url).status_code == 403
        assert people.post(url, password).status_code == 403
        assert people.post(page_of(user, "delete"), {"post": "yes"}).status_code == 403
        selected = {"action": "delete_selected", "_selected_action": user.pk, "post": "yes"}
        assert people.post(USERS, selected).status_code == 403
        assert User.objects.filter(pk=user.pk).values().get() == before
        page = people.get(page_of(user)).content.decode()
        assert 'name="email"' not in page
        assert "argon2" not in page


def test_a_confirmation_names_the_users_that_stay(people: Client, alice: User) -> None:
    root = make_superuser("root")
    selected = {"action": "delete_selected", "_selected_action": [root.pk, alice.pk]}

    page = people.post(USERS, selected).content.decode()

    assert "root has rights that you do not have" in page


def test_a_group_with_other_permissions_cannot_be_changed(people: Client) -> None:
    publishers = make_group("publishers", "delete_article")

    values = {"name": "renamed", "permissions": [permission("change_article").pk]}
    assert people.post(page_of(publishers), values).status_code == 403
    assert people.post(page_of(publishers, "delete"), {"post": "yes"}).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": publishers.pk, "post": "yes"}
    assert people.post("/admin/auth/group/", selected).status_code == 403

    assert Group.objects.get(pk=publishers.pk).name == "publishers"
    assert people.get(page_of(publishers)).status_code == 200


def test_members_cannot_add_permissions_to_their_group(people: Client, people_editor: User) -> None:
    writers = Group.objects.get(name="writers")
    form = form_of(people, writers)
    form.values["permissions"].append(str(permission("delete_article").pk))

    response = send(people, page_of(writers), form)

    assert response.status_code == 200
    assert response.context["adminform"].errors.keys() == {"permissions"}
    assert not writers.permissions.filter(codename="delete_article").exists()

    form = form_of(people, writers)
    form.values["permissions"].append(str(permission("change_user").pk))
    assert send(people, page_of(writers), form).status_code == 302
    assert writers.permissions.filter(codename="change_user").exists()


@pytest.mark.parametrize("name", ["is_active", "is_staff", "is_superuser"])
def test_superusers_do_not_remove_themselves(name: str) -> None:
    root = make_superuser("root")
    make_superuser("another")
    client = client_of(root)
    form = form_of(client, root)
    assert name not in form.values
    form.values["bio"] = ["Saved"]

    assert send(client, page_of(root), form).status_code == 302

    root.refresh_from_db()
    assert getattr(root, name)
    assert root.bio == "Saved"


def test_nobody_deletes_themselves() -> None:
    root = make_superuser("root")
    client = client_of(root)

    assert client.post(page_of(root, "delete"), {"post": "yes"}).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": root.pk, "post": "yes"}
    assert client.post(USERS, selected).status_code == 403
    across = selected | {"select_across": "1"}
    assert client.post(USERS, across).status_code == 403
    assert User.objects.get() == root


def test_nobody_disables_their_own_password(alice: User) -> None:
    root = make_superuser("root")
    client = client_of(root)
    data = {"usable_password": "false", "unset-password": "1"}

    assert client.post(f"{USERS}{root.pk}/password/", data).status_code == 403
    assert client.post(f"{USERS}{alice.pk}/password/", data).status_code == 302

    root.refresh_from_db()
    alice.refresh_from_db()
    assert root.has_usable_password()
    assert not alice.has_usable_password()


def test_a_superuser_removes_another(alice: User) -> None:
    client = client_of(make_superuser("root"))
    other = make_superuser("other")
    form = form_of(client, other)
    del form.values["is_superuser"], form.values["is_active"]

    assert send(client, page_of(other), form).status_code == 302

    other.refresh_from_db()
    assert not other.is_superuser
    assert client.post(page_of(other, "delete"), {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=other.pk).exists()


def test_staff_without_the_right_sees_403(alice: User, charlie: User) -> None:
    staff = client_of(make_staff("staff", "view_article"))
    writers = make_group("writers", "change_article")

    for url in (
        USERS,
        page_of(alice),
        page_of(alice, "delete"),
        reverse("admin:auth_user_password_change", args=[alice.pk]),
        reverse("admin:users_user_add"),
        page_of(writers),
        reverse("admin:auth_group_add"),
    ):
        assert staff.get(url).status_code == 403
        assert staff.post(url, {"post": "yes"}).status_code == 403
        assert client_of(charlie).get(url).status_code == 302  # to the login


def test_staff_who_may_only_view_users_see_neither_permissions_nor_password(alice: User) -> None:
    alice.groups.add(make_group("writers", "change_article"))
    viewer = client_of(make_staff("viewer", "view_user"))

    response = viewer.get(page_of(alice))

    page = response.content.decode()
    assert "alice@example.com" in page
    for hidden in (
        "argon2",
        "writers",
        "Superuser",
        "User permissions",
        "Password",
        "Second factor",
    ):
        assert hidden not in page.partition('id="content"')[2], hidden


def test_an_editable_list_obeys_the_rules(
    people: Client, people_editor: User, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UserAdmin, "list_display", ("username", "is_active", "is_superuser"))
    monkeypatch.setattr(UserAdmin, "list_editable", ("is_active", "is_superuser"))
    root = make_superuser("root")

    def save(client: Client, user: User, **values: str) -> Any:
        form = open_form(client, USERS, "changelist-form")
        ids = [key for key, value in form.values.items() if value == [str(user.pk)]]
        prefix = next(key.removesuffix("-id") for key in ids if key.endswith("-id"))
        for name in ("is_active", "is_superuser"):
            form.values.pop(f"{prefix}-{name}", None)
        form.values |= {f"{prefix}-{name}": [value] for name, value in values.items()}
        return send(client, USERS, form)

    assert save(people, alice, is_active="on", is_superuser="on").status_code == 403
    assert save(people, root, is_active="on").status_code == 302  # ignores the row
    assert save(people, people_editor).status_code == 403
    assert save(client_of(root), root, is_superuser="on").status_code == 403
    assert User.objects.filter(is_active=True).count() == 3
    assert [*User.objects.filter(is_superuser=True)] == [root]
    assert save(people, alice).status_code == 302
    alice.refresh_from_db()
    assert not alice.is_active


@pytest.mark.django_db(transaction=True)
def test_two_superusers_cannot_remove_each_other_on_any_page() -> None:
    def deactivate(client: Client, form: Form, other: User) -> int:
        return int(send(client, page_of(other), form).status_code)

    def delete(client: Client, form: Form, other: User) -> int:
        return int(client.post(page_of(other, "delete"), {"post": "yes"}).status_code)

    def suspend(client: Client, form: Form, other: User) -> int:
        url = f"/admin/users/user/{other.pk}/action/suspend/"
        return int(client.post(url, {"post": "yes"}).status_code)

    def delete_selected(client: Client, form: Form, other: User) -> int:
        selected = {"action": "delete_selected", "_selected_action": other.pk, "post": "yes"}
        return int(client.post(USERS, selected).status_code)

    for number, act in enumerate([deactivate, suspend, delete, delete_selected]):
        pair = [make_superuser(f"one{number}"), make_superuser(f"other{number}")]
        calls: list[Call] = []
        for editor, other in (pair, reversed(pair)):
            client = client_of(editor)
            form = form_of(client, other)
            del form.values["is_active"]
            calls.append(partial(act, client, form, other))

        answers = at_once(calls)

        # The second one is refused, or is no longer logged in.
        assert User.objects.filter(is_active=True, is_superuser=True).count() == 1, answers
        User.objects.all().delete()


def test_a_new_user_has_no_rights(people: Client) -> None:
    make_user("somebody")
    form = {
        "email": "dora@example.com",
        "username": "dora",
        "usable_password": "true",
        "password1": "correct horse",
        "password2": "correct horse",
        "is_staff": "on",
        "is_superuser": "on",
        "groups": Group.objects.get(name="writers").pk,
    }

    assert people.post(reverse("admin:users_user_add"), form).status_code == 302

    dora = User.objects.get(username="dora")
    assert (dora.is_staff, dora.is_superuser, dora.groups.count()) == (False, False, 0)
