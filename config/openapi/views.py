"""The description of the API at /api/schema, and two pages for people: /api/docs and /api/redoc."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override
from django.views.decorators.csrf import csrf_exempt

from config.errors.rendering import error_json

JSON, YAML = "json", "yaml"
# The first one is for clients that accept everything.
FORMATS = {
    "application/json": JSON,
    "application/vnd.oai.openapi+json": JSON,
    "application/yaml": YAML,
    "application/vnd.oai.openapi": YAML,
}
MEDIA_TYPES = {JSON: "application/json", YAML: "application/yaml"}

POLICY: dict[str, Any] = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    # Redoc and Swagger UI write their styles with scripts, as elements without a nonce.
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
    # The pictures of Swagger UI are inside its style sheet.
    "img-src": [CSP.SELF, "data:"],
    "connect-src": [CSP.SELF],
    # The search of Redoc runs in a worker, which Redoc makes of a string.
    "worker-src": ["blob:"],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}


@csrf_exempt  # otherwise the answer to a POST would be 403
def schema(request: HttpRequest) -> HttpResponseBase:
    """OpenAPI 3.1 as JSON or YAML: `?format=` says which, otherwise the header Accept."""
    if refused := _only_reads(request):
        return refused
    name = request.GET.get("format")
    media_type = request.get_preferred_type([*FORMATS]) or "application/json"
    if name:
        if name not in MEDIA_TYPES:
            return error_json(422, "format", "invalid")
        media_type = MEDIA_TYPES[name]
    # Imported here: drf-spectacular would take memory in every worker.
    from config.openapi.document import rendered

    content, etag = rendered(FORMATS[media_type])
    response = HttpResponse(content, content_type=media_type)
    response["ETag"] = etag
    # After an update of the server, clients must find the new description.
    response["Cache-Control"] = "no-cache"
    patch_vary_headers(response, ["Accept"])
    return get_conditional_response(request, etag=etag, response=response) or response


@csrf_exempt
@csp_override(POLICY)
def docs(request: HttpRequest) -> HttpResponse:
    return _page(request, "openapi/swagger.html")


@csrf_exempt
@csp_override(POLICY)
def redoc(request: HttpRequest) -> HttpResponse:
    return _page(request, "openapi/redoc.html")


def _page(request: HttpRequest, template: str) -> HttpResponse:
    if refused := _only_reads(request):
        return refused
    return render(request, template)


def _only_reads(request: HttpRequest) -> HttpResponse | None:
    if request.method in ("GET", "HEAD"):
        return None
    refused = error_json(405, "method", "method_not_allowed")
    refused["Allow"] = "GET, HEAD"
    return refused
