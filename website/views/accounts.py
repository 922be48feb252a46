"""Accounts: sign up, log in, log out, and change the settings."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.serializers import Serializer

from users.form_texts import digest, line_as_shown, lines_as_shown
from users.limits.throttles import count_request
from users.models import User
from users.password_queue import password_queue
from users.serializers import LoginSerializer, RegistrationSerializer, UserSerializer
from users.sessions import Session
from website.access import (
    HOME,
    NEXT,
    SeeOther,
    View,
    forget_return_path,
    login_required,
    return_path,
    safe_path,
    send_to_login,
    user_of,
)
from website.forms import Form
from website.paths import profile_path


def account_page[**P](view: View[P]) -> View[P]:
    """A page with a form that has a password. No cache keeps it, and no report of an error shows
    the password."""
    view = never_cache(sensitive_post_parameters("password")(view))
    return require_http_methods(["GET", "HEAD", "POST"])(view)


@account_page
def log_in(request: HttpRequest) -> HttpResponse:
    return _enter(request, LoginSerializer, page="login", fields=["email"])


@account_page
def register(request: HttpRequest) -> HttpResponse:
    return _enter(request, RegistrationSerializer, page="register", fields=["username", "email"])


def _enter(
    request: HttpRequest, serializer: type[Serializer[User]], *, page: str, fields: Iterable[str]
) -> HttpResponse:
    """`page` is the template, and the name of the limit. The form keeps the `fields`."""
    if request.user.is_authenticated:
        return SeeOther(safe_path(request, request.GET.get(NEXT, HOME)))
    following = return_path(request)
    form = Form(_typed(request, fields), noun="user")
    if request.method == "POST":
        user = form.save(lambda: _checked(request, serializer, {**form.values}, limit=page))
        if user is not None:
            response = SeeOther(following)
            forget_return_path(response)
            return response
    return form.show(request, page, {"next": following})


@sensitive_variables("values")
def _checked(
    request: HttpRequest, serializer: type[Serializer[User]], values: dict[str, Any], *, limit: str
) -> User:
    """Log in the user whom the serializer finds or creates."""
    # Refuse before the request is counted and the database queried, as the API does.
    password_queue.refuse_if_full()
    count_request(request, limit)
    values["password"] = request.POST.get("password", "")
    checked = serializer(data=values, context={"request": request})
    checked.is_valid(raise_exception=True)
    user = checked.save()
    login(request, user)
    return user


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return SeeOther(HOME)


@login_required
@account_page
def settings(request: HttpRequest) -> HttpResponse:
    stored = {
        name: _as_shown(name, getattr(request.user, name) or "")
        for name in ("image", "username", "bio", "email")
    }
    # What the form showed first. Only the fields that were changed since are saved, also if another
    # window has changed others.
    shown = {name: request.POST.get(f"shown_{name}") or digest(stored[name]) for name in stored}
    if request.method != "POST":
        return Form(stored, noun="user").show(request, "settings", {"shown": shown})
    form = Form(_typed(request, stored), noun="user")
    changed = {
        name: text
        for name, text in form.values.items()
        if name in request.POST and digest(text) != shown[name]
    }
    try:
        saved = form.save(lambda: _saved(request, changed))
    except AuthenticationFailed:
        # Another request has ended the session since this one began, by a new password for example.
        logout(request)
        return send_to_login(request)
    if saved is None:
        return form.show(request, "settings", {"shown": shown})
    elsewhere = " You are logged out everywhere else." if request.POST.get("password") else ""
    messages.success(request, f"Your settings are saved.{elsewhere}")
    return SeeOther(profile_path(saved.username))


@sensitive_variables("values")
def _saved(request: HttpRequest, changed: dict[str, str]) -> User:
    values = changed.copy()
    # Browsers may fill in a password that nobody typed, but not an empty one.
    if password := request.POST.get("password"):
        password_queue.refuse_if_full()
        values["password"] = password
    context = {"request": request, "session": Session(request)}
    # Not the object of the request, which the bar shows: the serializer changes its object, also if
    # it cannot save it.
    user = get_object_or_404(User, pk=user_of(request).pk)
    checked = UserSerializer(user, data=values, partial=True, context=context)
    checked.is_valid(raise_exception=True)
    return checked.save()


def _typed(request: HttpRequest, fields: Iterable[str]) -> dict[str, str]:
    return {name: _as_shown(name, request.POST.get(name, "")) for name in fields}


def _as_shown(name: str, text: str) -> str:
    return lines_as_shown(text) if name == "bio" else line_as_shown(text)
