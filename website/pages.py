"""How a page becomes a response."""

from http import HTTPStatus
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from users.models import User


def viewer_of(request: HttpRequest) -> int | None:
    """The id of the person who reads the page, or None for a stranger."""
    user: User | AnonymousUser = request.user
    return user.pk


def show(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """The page made from `website/<template>.html`."""
    return render(request, f"website/{template}.html", context, status=status)


def see_other(name: str, *, fragment: str = "", **values: Any) -> HttpResponse:
    """A redirect after a write, to the page with this name: the browser opens it with GET."""
    location = reverse(name, kwargs=values, fragment=fragment or None)
    return HttpResponseRedirect(location, status=HTTPStatus.SEE_OTHER)
