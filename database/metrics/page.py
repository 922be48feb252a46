"""The page that Prometheus reads, and who may read it."""

import ipaddress
import os
from contextlib import suppress
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, REGISTRY, generate_latest

from database import rundir
from database.metrics.processes import AllProcesses
from database.settings import project_setting

_FOLDER = os.environ.get(rundir.VARIABLE)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures of every process of this server, in Prometheus' text format."""
    if not may_see(request):
        # Not a 404: that there is such a page is no secret, and whoever runs the scraper
        # looks for the reason where it is shown.
        words = "Ask with METRICS_TOKEN as a bearer token; without one, on this machine.\n"
        return HttpResponseForbidden(words, content_type="text/plain")
    figures = AllProcesses(Path(_FOLDER)) if _FOLDER else REGISTRY
    return HttpResponse(generate_latest(figures), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def may_see(request: HttpRequest) -> bool:
    """Whether this request may be told how the server is: it brings METRICS_TOKEN; or none is
    set, and it comes from this machine, and not through a proxy that says so."""
    token = project_setting("METRICS_TOKEN")
    if token:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and constant_time_compare(given.strip(), token)
    proxied = any(
        name in ("Forwarded", "Via", "X-Real-Ip") or name.startswith("X-Forwarded-")
        for name in request.headers
    )
    return not proxied and _is_this_machine(request.META.get("REMOTE_ADDR", ""))


def _is_this_machine(address: str) -> bool:
    if not address:  # a unix socket
        return True
    with suppress(ValueError):
        ip = ipaddress.ip_address(address)
        # ::ffff:127.0.0.1, where the server listens on every address.
        return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
    return False
