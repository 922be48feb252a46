"""Limits on the rate of requests, such as `REGISTER_RATE`."""

from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from users.limits.client_addresses import client_address, network_of
from users.limits.counters import counters
from users.limits.keys import hashed


class RateThrottle(ScopedRateThrottle):
    """Limits writes to the rate of the view's `throttle_scope`: for each account, or without a
    login, for each client address. Reads are not limited.

    DRF's own throttle stores a list of request times in Django's cache, where two simultaneous
    requests overwrite each other. This one uses atomic counters.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.method in SAFE_METHODS:
            return True
        return self.count(request, getattr(view, self.scope_attr))

    def count(self, request: Request | HttpRequest, scope: str) -> bool:
        """Count a request. False if the limit is reached."""
        self.scope = scope
        limit, seconds = self.parse_rate(self.get_rate())
        if limit is None or seconds is None:
            return True
        key = f"rate:{hashed(self._key(request))}"
        full = counters.count_unless_full({key: limit}, seconds)
        self._wait = full.get(key, 0)
        return not full

    def _key(self, request: Request | HttpRequest) -> str:
        user = request.user
        ident = user.pk if user and user.is_authenticated else self.get_ident(request)
        return self.cache_format % {"scope": self.scope, "ident": ident}

    def get_ident(self, request: Request | HttpRequest) -> str:
        return network_of(client_address(request))

    def wait(self) -> float:
        """Seconds until the next request is allowed."""
        return max(1, self._wait)


def count_request(request: HttpRequest, scope: str) -> None:
    """Count a request of the site, with the same counters as the API. Raises Throttled."""
    throttle = RateThrottle()
    if not throttle.count(request, scope):
        raise Throttled(throttle.wait())
