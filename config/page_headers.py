"""What pages need and the API does not: headers that tell browsers what a page may do.

Django's SecurityMiddleware and XFrameOptionsMiddleware set the others for every response. This
middleware is outside of them, so that the pages of their own errors have all headers too.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.csp import CSP, LazyNonce, build_policy

from config.errors.handlers import page_of_exception, page_of_wrong_method
from config.errors.html import error_page

POLICY = str(CSP.HEADER_ENFORCE)

# For JSON, if a browser shows it as a page. A constant: it costs 1 µs of a request.
API_POLICY = "default-src 'none'; frame-ancestors 'none'"

ADMIN_POLICY: dict[str, Any] = {
    # Alpine.js, which Unfold uses on all pages, evaluates the expressions of its templates.
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    # Unfold writes its colors into an element <style> and widths into attributes.
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
    # Unfold opens the form of a related row, and the list to choose one, in a frame of the page.
    "frame-src": [CSP.SELF],
    "frame-ancestors": [CSP.SELF],
}

# Features of browsers that no page uses.
PERMISSIONS = (
    *("accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "geolocation"),
    *("gyroscope", "magnetometer", "microphone", "midi", "payment", "publickey-credentials-get"),
    *("screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
)
HEADERS = {
    "Permissions-Policy": ", ".join(f"{name}=()" for name in PERMISSIONS),
    "Cross-Origin-Resource-Policy": "same-origin",
    # SecurityMiddleware and XFrameOptionsMiddleware set these, but not if an error is outside.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class PageHeadersMiddleware:
    """Sets Content-Security-Policy and the headers above, and shows pages for errors of views that
    Django does not show. A view gets another policy with Django's `csp_override`.

    One class for both: each middleware costs every request of the API 1 µs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/api/"):
            response = self.get_response(request)
            own = getattr(response, "_csp_config", None)
            response.headers[POLICY] = build_policy(own) if own else API_POLICY
            return response
        # Where Django's context processor `csp` looks for it.
        nonce = request._csp_nonce = LazyNonce()  # type: ignore[attr-defined]
        response = self._page(request)
        policy: dict[str, Any] = settings.SECURE_CSP
        if request.path_info.startswith("/admin/"):
            policy = policy | ADMIN_POLICY
        if policy := getattr(response, "_csp_config", policy):
            response.headers.setdefault(POLICY, build_policy(policy, nonce))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _page(self, request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info:
            # PostgreSQL has no text with NUL, so there is no page with such a name.
            return error_page(request, 404)
        return page_of_wrong_method(request, self.get_response(request))

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return page_of_exception(request, exception)
