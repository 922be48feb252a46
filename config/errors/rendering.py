"""Builds the response to an error: JSON under /api, elsewhere a page (`config.errors.html`)."""

import math

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from config.errors.html import error_page
from users.api_errors import messages_of
from users.error_texts import KEYS, SENTENCES, TEXTS


def is_api(request: HttpRequest) -> bool:
    return request.path == "/api" or request.path.startswith("/api/")


def error_response(request: HttpRequest, status: int, code: str) -> HttpResponse:
    """The response to an error that no view has raised."""
    key = KEYS[code]
    if is_api(request):
        return error_json(status, key, code)
    return error_page(request, status, SENTENCES.get(code) or f"The {key} {TEXTS[code]}.")


def error_json(status: int, key: str, code: str) -> JsonResponse:
    return JsonResponse({"errors": {key: [TEXTS[code]]}}, status=status)


def rendered(error: exceptions.APIException, noun: str) -> Response:
    """The response to an error that a view has raised. `noun` is the view's `envelope`."""
    return Response(
        {"errors": messages_of(error, noun)},
        status=422 if isinstance(error, exceptions.ValidationError) else error.status_code,
        headers=_headers(error),
    )


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if error.status_code == 401:
        headers["WWW-Authenticate"] = "Token"
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(wait))
    return headers
