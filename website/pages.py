"""How a page becomes a response, and who may keep it."""

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import get_conditional_response, set_response_etag
from django.utils.safestring import SafeString
from django_htmx.middleware import HtmxDetails

from users.models import User
from website.access import HOME, LONGEST_PATH, SeeOther, safe_path
from website.kept_html import KeptHtml
from website.paths import login_path

# In each process 8 MiB: 350 lists.
pages = KeptHtml(8 * 2**20)

# Proxies may keep a page for strangers for 5 s. Browsers ask each time whether it has changed.
FOR_STRANGERS = "public, max-age=0, s-maxage=5"
FOR_ONE_PERSON = "private, no-cache"


def viewer_of(request: HttpRequest) -> int | None:
    """The id of the person who reads the page, or None for a stranger."""
    user: User | AnonymousUser = request.user
    return user.pk


def show(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """The page made from `website/<template>.html`, or 304 if the browser has it.

    It depends on `request.user`, so Django's session middleware adds `Vary: Cookie`.
    Templates also get `here`, the path of the page, and `login_path`: for a stranger the path of
    the log-in that leads back to the page, otherwise "". From a page with a very long address, it
    leads to the home page.
    """
    here = request.get_full_path()
    next_path = here if len(here) <= LONGEST_PATH else HOME
    back = "" if request.user.is_authenticated else login_path(next_path)
    context = {"here": here, "login_path": back} | (context or {})
    response = HttpResponse(_html(request, f"website/{template}.html", context), status=status)
    if status != 200 or not _is_for_all_strangers(request):
        # No ETag: Django masks the CSRF token anew for each page, so no two pages are equal.
        response.headers["Cache-Control"] = _private(request)
        return response
    return cached_by_proxies(request, response, FOR_STRANGERS)


def _html(request: HttpRequest, template: str, context: dict[str, Any]) -> SafeString:
    """For a stranger, a list is made from the context and the address alone. So its HTML is kept,
    and made again when a value has changed: it takes two thirds of the time of such a page."""

    def make() -> SafeString:
        return render_to_string(template, context, request)

    # With DEBUG, somebody may be changing the templates.
    if "pages" not in context or settings.DEBUG or not _is_for_all_strangers(request):
        return make()
    return pages.of(repr((template, request.build_absolute_uri(), context)), make)


def cached_by_proxies(
    request: HttpRequest, response: HttpResponse, cache_control: str
) -> HttpResponse:
    """The response, which is the same for everybody; 304 if the client has this version."""
    response.headers["Cache-Control"] = cache_control
    set_response_etag(response)
    etag = response.headers["ETag"]
    return cast(HttpResponse, get_conditional_response(request, etag=etag, response=response))


def see_other(name: str, *, fragment: str = "", **values: Any) -> HttpResponse:
    """A redirect after a write, to the page with this name."""
    return SeeOther(reverse(name, kwargs=values, fragment=fragment or None))


def after_click(
    request: HttpRequest, part: str, values: Callable[[], dict[str, Any]]
) -> HttpResponse:
    """The answer to a click on a small button, such as Follow. htmx gets the new button, made from
    `website/parts/<part>.html` with these values; a browser without JavaScript is redirected to the
    path in the form's input `next`."""
    if not HtmxDetails(request):
        return SeeOther(safe_path(request, request.POST.get("next", "")))
    response = render(request, f"website/parts/{part}.html", values())
    response.headers["Cache-Control"] = FOR_ONE_PERSON
    return response


def _is_for_all_strangers(request: HttpRequest) -> bool:
    """Whether the page has nothing of a session, a message or a form.

    Django deletes the cookie of an expired session. A proxy must not keep that answer.
    """
    cookies = {settings.SESSION_COOKIE_NAME, CookieStorage.cookie_name}
    return cookies.isdisjoint(request.COOKIES) and not _has_form(request)


def _has_form(request: HttpRequest) -> bool:
    """Whether the page has a CSRF token."""
    return bool(request.META.get("CSRF_COOKIE_NEEDS_UPDATE"))


def _private(request: HttpRequest) -> str:
    is_stranger = settings.SESSION_COOKIE_NAME not in request.COOKIES
    # A form for strangers is never kept, because its token belongs to one cookie.
    return "private, no-store" if is_stranger and _has_form(request) else FOR_ONE_PERSON
