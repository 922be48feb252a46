"""What DRF, Django and the database layer call after an error. The settings and
`config/urls.py` name these functions."""

import math
from typing import Any

from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.log import log_response
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.exceptions import APIException, Throttled
from rest_framework.response import Response

from config.errors.html import CSRF_ADVICE, CSRF_HEADING, CSRF_SENTENCE, error_page
from config.errors.rendering import error_json, error_response, is_api, rendered
from database.errors import Failure, failure_of
from users.api_errors import StatusError, as_api_exception, throttled_sentence
from users.authentication import account_was_deleted
from users.limits.logins import LoginRefused
from users.password_queue import PasswordQueueFull

# Seconds after which a client may try again: most outages are short.
RETRY_AFTER = 1


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The response to an exception of an API view.

    None for a failure of the database: DRF raises it again, and the middleware of `database`
    answers with `database_failure`.
    """
    request, view = context["request"], context["view"]
    if failure_of(exc, writes=True):
        return None
    error = as_api_exception(exc)
    if isinstance(error, exceptions.NotFound) and account_was_deleted(request):
        error = exceptions.AuthenticationFailed()
    if error is None:
        error = StatusError(500, "failed")
        # Django sends this for an exception that is not handled. Error trackers listen to it.
        got_request_exception.send(sender=type(view), request=request)
    response = rendered(error, noun=view.envelope)
    # Django would log the response later, but without the exception.
    if response.status_code == 500:
        path = request.get_full_path()
        log_response(
            "Internal Server Error: %s", path, response=response, request=request, exception=exc
        )
    elif response.status_code == 429:
        log_throttled(request, response)
    return response


def log_throttled(request: HttpRequest, response: HttpResponse) -> None:
    """Log at the level DEBUG: in a flood, a line for each refused request costs a fifth of the
    CPU time. The metrics count these responses."""
    log_response("Throttled", response=response, request=request, level="debug")


def database_failure(request: HttpRequest, failure: Failure) -> HttpResponse:
    """The response to a request that failed because of the database."""
    status = 504 if failure is Failure.TIMED_OUT else 503
    response = error_response(request, status, failure.value)
    # Not if the outcome is unknown: a retry could do a committed write again.
    if failure is Failure.UNAVAILABLE:
        response["Retry-After"] = RETRY_AFTER
    return response


def idempotency_key_refused(code: str) -> HttpResponse:
    """The response to a request whose `Idempotency-Key` cannot be used."""
    return error_json(422, "idempotencyKey", code)


@csrf_exempt  # otherwise the answer to a POST would be 403
def unknown_path(request: HttpRequest, slash: str) -> HttpResponse:
    """The view of every path under /api that has no other route. 404, also if DEBUG is on."""
    return error_json(404, "path", "not_found")


def page_of_exception(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """The page for an exception of a view outside of the API. None for a bug, and for an exception
    that Django answers.

    A login form may be refused before the password is compared; Django would answer 500.
    """
    if isinstance(exception, PasswordQueueFull | LoginRefused | Throttled):
        sentence = throttled_sentence(exception)
    elif isinstance(exception, APIException | Http404) and is_site(request):
        # Also if DEBUG is on: Django's page for developers says nothing to readers.
        sentence = str(exception) if isinstance(exception, Http404) else ""
    else:
        return None
    error = as_api_exception(exception)
    if error is None:
        return None
    response = error_page(request, error.status_code, sentence)
    if wait := getattr(error, "wait", None):
        response["Retry-After"] = str(math.ceil(wait))
    return response


def page_of_wrong_method(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The page in place of Django's empty response 405 of a view of the site."""
    if response.status_code != 405 or not is_site(request):
        return response
    page = error_page(request, 405)
    page.headers["Allow"] = response.headers["Allow"]
    return page


def is_site(request: HttpRequest) -> bool:
    """Whether the path of the request is of the site, and not of the admin."""
    match = request.resolver_match
    return match is not None and match.app_name == "website"


# Django calls these for an error outside a view of the API.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return error_json(400, "request", "malformed")
    return error_page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return error_json(403, "request", "permission_denied")
    return error_page(request, 403, str(exception))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if is_api(request):
        return error_json(403, "request", "permission_denied")
    return error_page(request, 403, CSRF_SENTENCE, CSRF_ADVICE, CSRF_HEADING)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return error_json(404, "path", "not_found")
    return error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    if is_api(request):
        return error_json(500, "server", "failed")
    return error_page(request, 500)
