"""The page for a refused login: too many logins at once, or too many failed ones."""

import math
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from config.errors import error_page
from users.limits import LoginRefused
from users.password_queue import PasswordQueueFull


class LoginRefusalMiddleware:
    """Answers the admin's login form with 429. Django would answer 500. `config/errors/mapping.py`
    does the same for the API."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, PasswordQueueFull):
            sentence = "Too many people are logging in. Try again soon."
        elif isinstance(exception, LoginRefused):
            minutes = math.ceil(exception.retry_after / 60)
            sentence = f"Too many logins have failed. Try again in {minutes} min."
        else:
            return None
        response = error_page(429, sentence)
        response["Retry-After"] = str(exception.retry_after)
        return response
