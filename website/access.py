"""Pages that need a login."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from users.models import User

# The key in the session. Not a parameter of the address: clients expect exactly /login.
RETURN_TO = "return_to"
LOGIN = "/login"

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponse]


def login_required[**P](view: View[P]) -> View[P]:
    """A view for people with an account. A stranger is sent to the login, and from there back."""

    def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        return send_to_login(request)

    return cast(View[P], update_wrapper(checked, view))


def send_to_login(request: HttpRequest) -> HttpResponse:
    if request.method in ("GET", "HEAD"):
        request.session[RETURN_TO] = request.get_full_path()
    if "HX-Request" in request.headers:
        # A redirect would put the login page into a part of the page.
        return HttpResponseClientRedirect(LOGIN)
    return redirect(LOGIN)


def user_of(request: HttpRequest) -> User:
    """The user of a view that is `login_required`."""
    return cast(User, request.user)


def safe_path(request: HttpRequest, path: str) -> str:
    """The path if it is one of this site, otherwise that of the home page."""
    if path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None):
        return path
    return "/"
