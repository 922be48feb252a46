"""Middleware that accepts an IP address as the host of health checks."""

from typing import Any

from django.http import HttpRequest
from django.middleware import common

PATHS = frozenset({"/health", "/livez", "/readyz", "/metrics"})


class CommonMiddleware(common.CommonMiddleware):
    """Django's CommonMiddleware without its check of the Host header for these paths.

    Health checks send an IP address as Host. The responses do not depend on it.
    """

    def process_request(self, request: HttpRequest) -> Any:
        return None if request.path_info in PATHS else super().process_request(request)
