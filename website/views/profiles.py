"""Profiles: what a person wrote and likes, and the button to follow them."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from articles.queries import list_articles
from profiles import follows
from profiles.queries import ProfileRow, profile_named
from users.limits.throttles import count_request
from users.names import nfc
from website.access import login_required, user_of
from website.pages import after_click, show, viewer_of
from website.views.lists import place_of, shown_in_list


@require_safe
def profile(request: HttpRequest, username: str) -> HttpResponse:
    return _show_profile(request, username, tab="author")


@require_safe
def favorites(request: HttpRequest, username: str) -> HttpResponse:
    return _show_profile(request, username, tab="favorited_by")


@require_POST
@login_required
def follow(request: HttpRequest, username: str) -> HttpResponse:
    count_request(request, "follow")
    person = _named(request, username)
    follows.follow(user_of(request), person)
    return _after_click(request, person, following=True)


@require_POST
@login_required
def unfollow(request: HttpRequest, username: str) -> HttpResponse:
    count_request(request, "follow")
    person = _named(request, username)
    follows.unfollow(user_of(request), person)
    return _after_click(request, person, following=False)


def _show_profile(request: HttpRequest, username: str, *, tab: str) -> HttpResponse:
    """`tab` is the argument of `list_articles` that makes the list."""
    person = _named(request, username)
    filters: dict[str, Any] = {tab: person.username}
    rows = list_articles(**filters, **place_of(request))
    viewer = viewer_of(request)
    is_viewer = person.pk == viewer
    context = {"person": person, "tab": tab, "is_viewer": is_viewer}
    return show(request, "profile", context | shown_in_list(request, rows))


def _named(request: HttpRequest, username: str) -> ProfileRow:
    """Raises Http404."""
    rows = profile_named(username=nfc(username), viewer=viewer_of(request))
    if not rows:
        raise Http404("There is no such person.")
    return rows[0]


def _after_click(request: HttpRequest, person: ProfileRow, *, following: bool) -> HttpResponse:
    values = {"username": person.username, "following": following}
    return after_click(request, "follow_button", lambda: values)
