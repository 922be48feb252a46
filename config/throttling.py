"""The page for whoever logs in where too many do."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from users.lane import LaneFull

PAGE = "<!doctype html><title>429</title><h1>Too many people are logging in. Try again soon.</h1>"


class LaneFullMiddleware:
    """Answers for the admin, where Django would make a 500 of it; the API has its own way
    (`config/errors.py`)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, LaneFull):
            return None
        return HttpResponse(PAGE, status=429, headers={"Retry-After": str(exception.retry_after)})
