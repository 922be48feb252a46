"""Who may give which rights, and who may change or remove whose account."""

from functools import partial

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import transaction

from tests.builders import make_group, make_staff, make_superuser, make_user
from tests.races import at_once
from users.models import User
from users.privileges import (
    HAS_MORE_RIGHTS,
    IS_LAST_SUPERUSER,
    IS_YOURSELF,
    grantable_groups,
    grantable_permissions,
    groups_beyond,
    irremovable,
    sentence,
    untouchable,
)

pytestmark = pytest.mark.django_db


def test_editors_can_give_only_permissions_that_they_have() -> None:
    writers = make_group("writers", "change_article")
    editor = make_staff("editor", "change_user", groups=(writers,))

    names = {each.codename for each in grantable_permissions(editor)}

    assert names == {"change_user", "change_article"}
    assert grantable_permissions(make_superuser("root")).count() == Permission.objects.count()


def test_editors_can_give_and_change_only_groups_without_other_permissions() -> None:
    Group.objects.all().delete()  # those of the migration
    writers = make_group("writers", "change_article")
    publishers = make_group("publishers", "change_article", "delete_article")
    empty = make_group("empty")
    editor = make_staff("editor", "change_group", groups=(writers,))

    assert {*grantable_groups(editor)} == {writers, empty}
    assert {*groups_beyond(editor, Group.objects.all())} == {publishers}
    assert {*grantable_groups(make_superuser("root"))} == {writers, publishers, empty}


def test_users_with_more_rights_are_untouchable(charlie: User) -> None:
    writers = make_group("writers", "change_article")
    editor = make_staff("editor", "change_user", groups=(writers,))
    root = make_superuser("root")
    more = make_staff("more", "delete_article")
    by_group = make_staff("by_group", groups=(make_group("taggers", "add_tag"),))
    inactive = make_user("inactive", is_superuser=True, is_active=False)
    make_staff("equal", "change_user", groups=(writers,))

    reasons = untouchable(User.objects.all(), editor)

    assert reasons == dict.fromkeys([root, more, by_group, inactive], HAS_MORE_RIGHTS)
    assert untouchable(User.objects.all(), root) == {}
    assert untouchable(User.objects.filter(pk=editor.pk), charlie) == {editor: HAS_MORE_RIGHTS}


def test_nobody_removes_themselves(alice: User) -> None:
    moderator = make_staff("moderator", "change_user")
    root = make_superuser("root")
    make_superuser("root2")
    everybody = User.objects.all()

    assert irremovable(everybody.filter(pk=moderator.pk), moderator) == {moderator: IS_YOURSELF}
    assert irremovable(everybody.filter(pk=root.pk), root) == {root: IS_YOURSELF}
    assert irremovable(everybody.filter(pk=alice.pk), moderator) == {}
    assert moderator not in untouchable(everybody, moderator)


def test_the_last_active_superuser_is_irremovable(alice: User) -> None:
    root = make_superuser("root")
    make_user("inactive", is_staff=True, is_superuser=True, is_active=False)
    make_user("locked out", is_superuser=True)
    roots = User.objects.filter(pk__in=[root.pk, alice.pk])

    assert irremovable(roots, None) == {root: IS_LAST_SUPERUSER}
    second = make_superuser("second")
    assert irremovable(roots, None) == {}
    assert irremovable(roots, second) == {}
    assert irremovable(User.objects.all(), None).keys() == {root, second}


def test_a_list_with_order_and_limit_can_be_checked(alice: User) -> None:
    root = make_superuser("root")
    newest = User.objects.order_by("-pk")[:1]

    assert irremovable(newest, root) == {root: IS_YOURSELF}
    assert untouchable(newest, make_staff("editor", "change_user")) == {}


def test_a_removed_superuser_removes_nobody(alice: User) -> None:
    root, other = make_superuser("root"), make_superuser("other")
    User.objects.filter(pk=root.pk).update(is_active=False)

    with pytest.raises(PermissionDenied):
        irremovable(User.objects.filter(pk=other.pk), root)


def test_a_message_names_the_first_users() -> None:
    users = [make_user(f"user{number}") for number in range(7)]

    assert sentence({users[0]: IS_YOURSELF}) == "user0 is your own account."
    text = sentence(dict.fromkeys(users, HAS_MORE_RIGHTS), limit=1)
    assert text == "user0 has rights that you do not have; 6 more users cannot be changed."


@pytest.mark.django_db(transaction=True)
def test_two_superusers_cannot_remove_each_other_at_the_same_time() -> None:
    def remove(editor: User, other: User) -> str:
        rows = User.objects.filter(pk=other.pk)
        try:
            with transaction.atomic():
                assert irremovable(rows, editor) == {}
                rows.update(is_active=False)
        except PermissionDenied:
            return "refused"
        return "removed"

    for number in range(4):
        one, other = make_superuser(f"one{number}"), make_superuser(f"other{number}")
        answers = at_once([partial(remove, one, other), partial(remove, other, one)])

        assert sorted(answers) == ["refused", "removed"]
        assert User.objects.filter(is_active=True).count() == 1
        User.objects.all().delete()


def test_the_command_does_not_delete_the_last_active_superuser() -> None:
    root = make_superuser("root")

    with pytest.raises(CommandError, match="root is the last active superuser"):
        call_command("delete_user", "root", "--noinput")

    root.refresh_from_db()
    assert root.is_active
    make_superuser("second")
    call_command("delete_user", "root", "--noinput", verbosity=0)
    assert not User.objects.filter(pk=root.pk).exists()
