"""Who may give which rights, and who may change whose account. Each rule is written once, here.

- Editors can give only rights that they have themselves: `grantable_permissions(editor)` and
  `grantable_groups(editor)`. Only superusers make superusers.
- Editors cannot change users or groups that have rights which the editors lack: otherwise, the
  right to change a user would include all rights of that user. `users_beyond(editor, users)`,
  `groups_beyond(editor, groups)`.
- Nobody removes their own account or the last active superuser. To remove means here: to delete,
  suspend or deactivate a user, to disable their password, or to take the staff or superuser status.

An action on users calls one function and refuses the users that are in its result:

- `untouchable(users, editor)` before it logs out, or changes a password or an e-mail.
- `irremovable(users, editor)` before it deletes, suspends, or otherwise removes. It needs a
  transaction, and locks the superusers, so that two superusers cannot remove each other.

Both return a dict of users to reasons. A reason completes the sentence "alice …".
"""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet

from users.models import User

HAS_MORE_RIGHTS = "has rights that you do not have"
IS_YOURSELF = "is your own account"
IS_LAST_SUPERUSER = "is the last active superuser"

# A superuser who can log in to the admin.
ACTIVE_SUPERUSER = Q(is_superuser=True, is_staff=True, is_active=True)

type Reasons = dict[User, str]


def permissions_of(user: User) -> QuerySet[Permission]:
    """The permissions of the user and of their groups, also if the user is inactive: the account
    may become active again."""
    if user.is_superuser:
        return Permission.objects.all()
    return Permission.objects.filter(
        Q(pk__in=user.user_permissions.values("pk"))
        | Q(pk__in=Permission.objects.filter(group__user=user).values("pk"))
    )


def grantable_permissions(editor: User) -> QuerySet[Permission]:
    """The permissions that the editor may give and take."""
    return permissions_of(editor)


def grantable_groups(editor: User) -> QuerySet[Group]:
    """The groups to which the editor may add users, and which the editor may change."""
    groups = Group.objects.all()
    return groups.exclude(pk__in=groups_beyond(editor, groups).values("pk"))


def groups_beyond(editor: User, groups: QuerySet[Group]) -> QuerySet[Group]:
    """The groups that have permissions which the editor lacks."""
    if editor.is_superuser:
        return groups.none()
    granted = Group.permissions.through.objects.filter(permission__in=_lacking(editor))
    return groups.filter(pk__in=granted.values("group"))


def users_beyond(editor: User, users: QuerySet[User]) -> QuerySet[User]:
    """The users who have rights which the editor lacks."""
    if editor.is_superuser:
        return users.none()
    lacking = _lacking(editor)
    own = User.user_permissions.through.objects.filter(permission__in=lacking)
    by_group = User.groups.through.objects.filter(group__permissions__in=lacking)
    beyond = Q(is_superuser=True) | Q(pk__in=own.values("user")) | Q(pk__in=by_group.values("user"))
    if not editor.is_staff:
        beyond |= Q(is_staff=True)
    return users.filter(beyond)


def untouchable(users: QuerySet[User], editor: User) -> Reasons:
    """The users whom the editor may neither change nor log out, and why."""
    return dict.fromkeys(users_beyond(editor, _plain(users)), HAS_MORE_RIGHTS)


def irremovable(users: QuerySet[User], editor: User | None, *, lock: bool = True) -> Reasons:
    """The users whom the editor may not remove, and why.

    Call it in the transaction that removes them; only a page that shows the reasons needs no
    transaction, and calls it with `lock=False`. Without an editor, for a command, only the last
    active superuser is irremovable. Raises PermissionDenied if the editor is a superuser whom
    another superuser has removed meanwhile.
    """
    if lock:
        lock_superusers()
    users = _plain(users)
    superusers = User.objects.filter(ACTIVE_SUPERUSER)
    reasons: Reasons = {}
    if not superusers.exclude(pk__in=users.values("pk")).exists():
        reasons = dict.fromkeys(users.filter(ACTIVE_SUPERUSER), IS_LAST_SUPERUSER)
    if editor is None:
        return reasons
    if editor.is_superuser and not superusers.filter(pk=editor.pk).exists():
        raise PermissionDenied("Your account is not an active superuser any more.")
    own = dict.fromkeys(users.filter(pk=editor.pk), IS_YOURSELF)
    return reasons | untouchable(users, editor) | own


def lock_superusers() -> None:
    """Lock the rows of all superusers until the transaction ends, in the order of their ids.

    A transaction that locks the row of a user, and then calls `irremovable()`, must call this
    first: two superusers who remove each other would deadlock.
    """
    superusers = User.objects.filter(is_superuser=True).order_by("pk")
    for _ in superusers.select_for_update(no_key=True).values_list("pk").iterator():
        pass


def problems_of(reasons: Reasons) -> list[str]:
    """The reasons as one sentence for each user."""
    return [f"{user} {reason}." for user, reason in reasons.items()]


def sentence(reasons: Reasons, limit: int = 5) -> str:
    """The reasons as a sentence for a message, such as "alice is your own account"."""
    named = [f"{user} {reason}" for user, reason in reasons.items()]
    more = [f"{len(named) - limit:,} more users cannot be changed"] if len(named) > limit else []
    return "; ".join([*named[:limit], *more]) + "."


def _lacking(editor: User) -> QuerySet[Permission, Any]:
    return Permission.objects.exclude(pk__in=permissions_of(editor).values("pk")).values("pk")


def _plain(users: QuerySet[User]) -> QuerySet[User]:
    """Without the order, joins, and limits of a list."""
    return User.objects.filter(pk__in=users.values("pk"))
