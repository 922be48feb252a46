"""The pool page and its refresh.

Both answer within a second, also while the database is frozen. Before the login is checked in the
database, the health probe checks whether the database answers. If it does not, the cookie of
`access.py` replaces the login, and no other code runs that might use the database: no session, no
user, no messages, no sidebar.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.pool_page import access
from config.pool_page.sections import SECTIONS, sections
from database.backend import Connection, database_wrapper, release_connection
from database.health import Activity, Machine, machine, probe, read_activity

# Seconds that the page waits for the database: once for a ping, and once for its clients.
PATIENCE = 0.4
UNCHECKED = "Your login was not checked, because no connection is free for it."
REFRESH = 2  # seconds between two refreshes of an open page
type View = Callable[[HttpRequest], HttpResponseBase]


class PoolPage:
    def __init__(self, site: AdminSite) -> None:
        self._site = site

    def urls(self) -> list[URLPattern]:
        return [
            path("database/", self._view(self._page, _slim_page), name="database"),
            path("database/figures", self._view(_figures, _slim_figures), name="database_figures"),
        ]

    def _view(self, view: View, slim: Callable[[str, str], HttpResponse]) -> View:
        """`view` for those who are logged in and have the permission. While logins cannot be
        checked, `slim` for those with a key."""
        checked = self._site.admin_view(_with_permission(view))

        @never_cache
        @require_safe
        def answer(request: HttpRequest) -> HttpResponseBase:
            if access.PARAMETER in request.GET:
                return _enter(request.GET[access.PARAMETER])
            key = access.content_in(request)
            if error := _database_error():
                return slim(error, UNCHECKED) if key else _refuse()
            if key and _is_exhausted() and _is_current(key):
                return slim("", UNCHECKED)
            try:
                return checked(request)
            except OperationalError:
                # The database has stopped since the ping, or the pool refuses more requests.
                return slim("", UNCHECKED) if key and _is_current(key) else _refuse()

        return answer

    def _page(self, request: HttpRequest) -> HttpResponse:
        context = self._site.each_context(request)
        # Not held while the page waits for the probe.
        release_connection()
        context |= {"title": "Database", **_context(_sections())}
        return TemplateResponse(request, "pool_page/page.html", context)


def _figures(request: HttpRequest) -> HttpResponse:
    release_connection()
    return JsonResponse({"sections": _sections()})


def _slim_page(error: str, unchecked: str) -> HttpResponse:
    context = _context(_sections(error, unchecked))
    return HttpResponse(render_to_string("pool_page/slim.html", context))


def _slim_figures(error: str, unchecked: str) -> HttpResponse:
    return JsonResponse({"sections": _sections(error, unchecked)})


def _context(html: dict[str, str]) -> dict[str, Any]:
    return {"sections": [(name, html[name]) for name in SECTIONS], "refresh": REFRESH}


def _with_permission(view: View) -> View:
    def permitted(request: HttpRequest) -> HttpResponseBase:
        user: Any = request.user
        if not user.has_perm(access.PERMISSION):
            raise PermissionDenied
        response = view(request)
        access.set_key(response, access.key_of_user(user), access.USER_LIFETIME)
        return response

    return permitted


def _enter(key: str) -> HttpResponse:
    """The answer to a link of `manage.py database_page_link`. Moves the key from the address into
    the cookie, because browsers keep and show addresses."""
    if access.content_of(key) is None:
        return _message("This link is not valid, or it has expired.", status=403)
    response = HttpResponseRedirect(access.PATH)
    access.set_key(response, key, access.LINK_LIFETIME)
    return response


def _refuse() -> HttpResponse:
    return _message(
        "Your login cannot be checked now, because no connection to the database is available. On"
        " the server, `manage.py database_page_link` prints a link that shows this page without a"
        " login.",
        status=503,
    )


def _message(text: str, status: int) -> HttpResponse:
    context = {"message": text, "refresh": REFRESH}
    return HttpResponse(render_to_string("pool_page/slim.html", context), status=status)


def _database_error() -> str:
    """Why the database does not answer; "" if it does."""
    params = database_wrapper().get_connection_params
    return probe().use(params, lambda session: None, PATIENCE)[1]


def _is_exhausted() -> bool:
    pool = database_wrapper().pool
    return pool is not None and pool.in_use >= pool.max_size


def _is_current(key: dict[str, Any]) -> bool:
    params = database_wrapper().get_connection_params
    current, _ = probe().use(params, lambda session: access.is_current(key, session), PATIENCE)
    return current is True


def _sections(error: str = "", unchecked: str = "") -> dict[str, str]:
    whole = machine()
    activity = Activity(error) if error else _activity(whole)
    return sections(whole, activity, unchecked=unchecked)


def _activity(whole: Machine) -> Activity:
    database = database_wrapper()

    def read(session: Connection) -> Activity:
        return read_activity(database, session, whole)

    activity, error = probe().use(database.get_connection_params, read, PATIENCE)
    return activity or Activity(error)
