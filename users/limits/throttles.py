"""Rates of requests: `REGISTER_RATE` and the like."""

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from users.limits.client_addresses import client_address, network_of
from users.limits.counters import counters
from users.limits.keys import hashed


class RateThrottle(ScopedRateThrottle):
    """The rate that the view's `throttle_scope` names, for each account, or for each address
    where nobody is logged in. Requests that only read are free.

    DRF's own throttle keeps the time of every request in Django's cache, and two requests at
    once overwrite each other there; this one counts.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.method in SAFE_METHODS:
            return True
        self.scope = getattr(view, self.scope_attr)
        limit, seconds = self.parse_rate(self.get_rate())
        if limit is None or seconds is None:
            return True
        key = f"rate:{hashed(self.get_cache_key(request, view) or '')}"
        full = counters.count_unless_full({key: limit}, seconds)
        self._wait = full.get(key, 0)
        return not full

    def get_ident(self, request: Request) -> str:
        return network_of(client_address(request))

    def wait(self) -> float:
        """Seconds until the next request is allowed."""
        return max(1, self._wait)
