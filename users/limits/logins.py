"""The limits on failed logins."""

import logging
import math
from collections.abc import Callable

from django.http import HttpRequest
from rest_framework.request import Request

from users.known_addresses import KnownAddress
from users.limits.client_addresses import client_address, network_of
from users.limits.counters import counters
from users.limits.keys import account_key, account_name, address_key
from users.models import User

logger = logging.getLogger(__name__)

WINDOW = 900  # seconds from the first failure
# Users who have forgotten their password try less often. An attacker can try 2,000 a day.
MAX_FOR_ACCOUNT_FROM_ADDRESS = 20
# Higher, because many users may share an address, as in an office or a mobile network.
MAX_FROM_ADDRESS = 100
# Limits an attacker with many addresses.
MAX_FOR_ACCOUNT = 500
LOGGED = "logged:"  # prefix of the key of a counter whose lock was logged


class LoginRefused(Exception):
    """Too many logins have failed. Does not tell whether the password is correct."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.retry_after = max(1, math.ceil(seconds))


class LoginAttempt:
    """An attempt to log in from the client address of a request. The account need not exist.

    Call `check()` before the password is verified, then `failed()` or `succeeded()`. All three
    raise LoginRefused. Many simultaneous requests may pass `check()`; the other two refuse those
    over the limit, so that these do not learn whether their password is correct.
    """

    def __init__(self, request: HttpRequest | Request, email: str) -> None:
        self._email = email
        self._network = network_of(client_address(request))
        account, self._address = account_key(email), address_key(self._network)
        self._by_both = f"login:{account}:{self._address}"
        self._by_address = f"login:all:{self._address}"
        self._by_account = f"login:{account}:all"
        self._limits = {
            self._by_both: MAX_FOR_ACCOUNT_FROM_ADDRESS,
            self._by_address: MAX_FROM_ADDRESS,
            self._by_account: MAX_FOR_ACCOUNT,
        }

    def check(self) -> None:
        self._refuse_if_full(counters.full)

    def failed(self) -> None:
        self._refuse_if_full(counters.count_unless_full)

    def succeeded(self, user: User) -> None:
        """Clears the counter of this account from this address. The counter of the address stays,
        because an attacker may have an account too."""
        self._refuse_if_full(counters.full)
        counters.delete(self._by_both)
        KnownAddress.objects.remember(user, self._address)

    def _refuse_if_full(self, ask: Callable[[dict[str, int], float], dict[str, float]]) -> None:
        full = ask(self._limits, WINDOW)
        # An attacker must not lock the owner out.
        if full.keys() == {self._by_account} and self._is_known():
            del self._limits[self._by_account]
            full = ask(self._limits, WINDOW)
        if full:
            self._log(full)
            raise LoginRefused(max(full.values()))

    def _is_known(self) -> bool:
        return KnownAddress.objects.is_known(account_name(self._email), self._address)

    def _log(self, full: dict[str, float]) -> None:
        """Writes one line for each counter, not one for each refused request."""
        which = {
            self._by_both: f"for an account from {self._network}",
            self._by_address: f"from {self._network}",
            self._by_account: "for an account from unknown addresses",
        }
        for key, seconds in full.items():
            if not counters.count_unless_full({LOGGED + key: 1}, WINDOW):
                logger.warning(
                    "Logins %s are refused for %.0f s: too many failed", which[key], seconds
                )


def remember_address(user: User, request: HttpRequest | Request) -> None:
    """Remember the client address of a registration, which is also a login."""
    KnownAddress.objects.remember(user, address_key(client_address(request)))


def unlock(*, account: str = "*", address: str = "*") -> int:
    """Forget the failed logins of an account from an address. Both are keys of
    `users.limits.keys`, or "*" for all. Returns the number of deleted counters.

    Raises StoreFailed.
    """
    pattern = f"login:{account}:{address}"
    deleted = counters.delete_matching(pattern)
    counters.delete_matching(LOGGED + pattern)
    return deleted


def counter_locations() -> str:
    """Where `unlock()` looks for counters, for messages."""
    return " or in ".join(counters.locations())
