"""The page for people who log in while too many do, or after too many failures."""

import math
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from users.limits import LoginRefused
from users.password_queue import PasswordQueueFull

PAGE = "<!doctype html><title>429</title><h1>{}</h1>"


class LoginRefusalMiddleware:
    """Answers the admin's log-in form with 429, where Django would answer 500. The API has its
    own answer (`config/errors.py`)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, PasswordQueueFull):
            words = "Too many people are logging in. Try again soon."
        elif isinstance(exception, LoginRefused):
            minutes = math.ceil(exception.retry_after / 60)
            words = f"Too many log-ins have failed. Try again in {minutes} min."
        else:
            return None
        headers = {"Retry-After": str(exception.retry_after)}
        return HttpResponse(PAGE.format(words), status=429, headers=headers)
