"""How a page becomes a response."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

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
