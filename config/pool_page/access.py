"""Who may see the page while no login can be checked.

Sessions are rows of the database. So the page has a signed cookie of its own. Users who open the
page with a login get one, and `manage.py database_page_link` prints a link that sets one. The
cookie is accepted only while the database does not answer, or while no connection is free to check
a login. In the second case, the probe's connection checks whether the user still has the
permission.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission
from django.core import signing
from django.db.models import Q
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from database.backend import Connection
from users.models import User

PERMISSION = "database.view_pool"
COOKIE = "database_page"
PATH = "/admin/database/"
PARAMETER = "key"
SALT = "config.pool_page"
USER_LIFETIME = 12 * 3600  # seconds
LINK_LIFETIME = 3600
LONGEST_KEY = 500  # characters


def key_of_user(user: User) -> str:
    """Names the user and their generation, so that two logins never have the same key."""
    return signing.dumps({"user": user.pk, "generation": user.token_generation}, salt=SALT)


def key_of_link() -> str:
    return signing.dumps({"link": True}, salt=SALT)


def content_of(key: str) -> dict[str, Any] | None:
    """What the key contains. None if it is invalid or has expired. Needs no database."""
    if len(key) > LONGEST_KEY:
        return None
    try:
        content: dict[str, Any] = signing.loads(key, salt=SALT, max_age=USER_LIFETIME)
        if "link" in content:
            signing.loads(key, salt=SALT, max_age=LINK_LIFETIME)
    except signing.BadSignature:  # also an expired one
        return None
    return content


def content_in(request: HttpRequest) -> dict[str, Any] | None:
    return content_of(request.COOKIES.get(COOKIE, ""))


def is_current(content: dict[str, Any], session: Connection) -> bool:
    """Whether the user of the key still has the permission, and has not logged out everywhere. A
    link has no user. One statement, not through Django's connection."""
    if "link" in content:
        return True
    permission = Permission.objects.filter(
        content_type__app_label="database", codename=PERMISSION.partition(".")[2]
    )
    may_see = (
        Q(is_superuser=True)
        | Q(user_permissions__in=permission)
        | Q(groups__permissions__in=permission)
    )
    users = User.objects.filter(
        may_see,
        pk=content["user"],
        is_active=True,
        is_staff=True,
        token_generation=content["generation"],
    )
    sql, values = users.values("pk").query.sql_with_params()
    return session.execute(sql.encode(), values).fetchone() is not None


def set_key(response: HttpResponseBase, key: str, lifetime: int) -> None:
    response.set_cookie(
        COOKIE,
        key,
        max_age=lifetime,
        path=PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        # Not "Strict": the link may be opened from a message in a browser.
        samesite="Lax",
    )


def delete_key(response: HttpResponseBase) -> None:
    response.delete_cookie(COOKIE, path=PATH, samesite="Lax")
