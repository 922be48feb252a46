"""Pages that need a login, and where a person goes after the login."""

import re
from collections.abc import Callable
from functools import update_wrapper
from http import HTTPStatus
from typing import Concatenate, cast
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from users.models import User

HOME = "/"
NEXT = "next"
LONGEST_PATH = 2_048  # characters

# The path from which a stranger was sent to the login. It is not in the address, because clients
# expect exactly /login. It is in a signed cookie and not in a session: a stranger with a session
# would cost a row of the database, and programs that open /editor a million times would fill it.
RETURN_TO = "return_to"
RETURN_WITHIN = 900  # seconds

# A path with "//", "/\", or white space after the slash: browsers may take the rest for a host.
HOST = re.compile(r"/[\s\\/\x00-\x20\x7f]")
# Browsers drop some of them, and a backslash is a slash for them.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]")

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponse]


class SeeOther(HttpResponseRedirect):
    """A redirect after a write: the browser opens the other page with GET."""

    status_code = HTTPStatus.SEE_OTHER


def safe_path(request: HttpRequest, text: str) -> str:
    """`text` if it is a path of this site, with or without a query; otherwise the path of the home
    page. An attacker may have made `text`, to lead people to another site."""
    if (
        len(text) > LONGEST_PATH
        or not text.startswith("/")
        or UNSAFE.search(text)
        # Decoded too, because a proxy may decode it once.
        or HOST.match(unquote(text))
        or not url_has_allowed_host_and_scheme(
            text, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )
    ):
        return HOME
    return text


def login_required[**P](view: View[P]) -> View[P]:
    """A view for people with an account. A stranger is sent to the login, and from there back."""

    def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        return send_to_login(request)

    return cast(View[P], update_wrapper(checked, view))


def send_to_login(request: HttpRequest) -> HttpResponse:
    login = reverse("website:login")
    response: HttpResponse
    if HtmxDetails(request):
        # A redirect would put the login page into a part of the page.
        response = HttpResponseClientRedirect(login)
    elif request.method in ("GET", "HEAD"):
        response = HttpResponseRedirect(login)
    else:
        response = SeeOther(login)
    add_never_cache_headers(response)
    response.set_signed_cookie(
        RETURN_TO,
        _page_of(request),
        salt=__name__,
        max_age=RETURN_WITHIN,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
    return response


def user_of(request: HttpRequest) -> User:
    """The user of a view that is `login_required`."""
    return cast(User, request.user)


def _page_of(request: HttpRequest) -> str:
    """The path of the page that the person sees, or wants to see."""
    if request.method in ("GET", "HEAD") and not HtmxDetails(request):
        return safe_path(request, request.get_full_path())
    if NEXT in request.POST:
        return safe_path(request, request.POST[NEXT])
    # The referrer policy of the site is "same-origin", which gives the path too.
    origin, page = request.build_absolute_uri("/"), request.headers.get("Referer", "")
    return safe_path(request, "/" + page.removeprefix(origin)) if page.startswith(origin) else HOME


def return_path(request: HttpRequest) -> str:
    """The path to which a person wants to go after the login: that of the parameter `next`, or else
    of the page that needed the login."""
    text = request.POST.get(NEXT) or request.GET.get(NEXT)
    if not text:
        text = request.get_signed_cookie(RETURN_TO, "", salt=__name__, max_age=RETURN_WITHIN)
    return safe_path(request, text or HOME)


def forget_return_path(response: HttpResponse) -> None:
    response.delete_cookie(RETURN_TO, samesite="Lax")
