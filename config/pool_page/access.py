"""Who may see the page while the database cannot check a login.

Sessions are rows of the database. So the page has a signed cookie of its own. Whoever opens the
page with a login gets one, and `manage.py database_page_link` prints a link that sets one. It is
accepted only while the login cannot be checked: with a working database, a suspended or logged-out
user sees nothing, whatever cookie they have.
"""

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase

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


def is_valid(key: str) -> bool:
    """Whether the key is ours and has not expired. Needs no database."""
    if len(key) > LONGEST_KEY:
        return False
    try:
        content = signing.loads(key, salt=SALT, max_age=USER_LIFETIME)
        if "link" in content:
            signing.loads(key, salt=SALT, max_age=LINK_LIFETIME)
    except signing.BadSignature:  # also an expired one
        return False
    return True


def has_key(request: HttpRequest) -> bool:
    return is_valid(request.COOKIES.get(COOKIE, ""))


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
