"""The page that Prometheus reads, and its access rule."""

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
    """The metrics of every process of this server, in Prometheus' text format."""
    if not may_read_metrics(request):
        # 403 with the reason, not 404: the page is no secret, and its reader must find the mistake.
        text = "Send METRICS_TOKEN as a bearer token. If it is not set, use this machine.\n"
        return HttpResponseForbidden(text, content_type="text/plain")
    figures = AllProcesses(Path(_FOLDER)) if _FOLDER else REGISTRY
    return HttpResponse(generate_latest(figures), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def may_read_metrics(request: HttpRequest) -> bool:
    """Whether the client may read the metrics and the details of /health.

    With METRICS_TOKEN set, the request must send it. Otherwise the request must come from this
    machine, without the headers of a proxy.
    """
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
        # A server that listens on "::" sees 127.0.0.1 as ::ffff:127.0.0.1.
        return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
    return False
