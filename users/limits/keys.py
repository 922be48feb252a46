"""The names of counters: they contain hashes, never an e-mail or an address."""

import logging
import threading
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from django.utils.crypto import salted_hmac
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from users.names import LONGEST, fold

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

logger = logging.getLogger(__name__)

_warning_is_due = threading.Lock()  # the thread that acquires it writes the warning


def hashed(text: str) -> str:
    """128 bits of an HMAC with SECRET_KEY, as 32 hexadecimal digits."""
    return salted_hmac("users.limits", text, algorithm="sha256").hexdigest()[:32]


def account_name(email: str) -> str:
    """The same text for every way to write the e-mail, whether the account exists or not."""
    # No account has a longer e-mail. Folding a long text can take very long.
    return fold(email[:LONGEST])


def account_key(email: str) -> str:
    return hashed(f"account {account_name(email)}")


def address_key(address: str) -> str:
    return hashed(f"address {network_of(address)}")


def address_of(request: "HttpRequest | Request") -> str:
    """The client's address, as DRF sees it: `TRUSTED_PROXIES` says how much of
    X-Forwarded-For counts."""
    if "HTTP_X_FORWARDED_FOR" in request.META and api_settings.NUM_PROXIES == 0:
        _warn_of_untrusted_proxy()
    return BaseThrottle().get_ident(request) or ""  # type: ignore[arg-type]  # reads META and headers


def _warn_of_untrusted_proxy() -> None:
    """One line for each process."""
    if not _warning_is_due.acquire(blocking=False):
        return
    logger.warning(
        "A request has X-Forwarded-For, and TRUSTED_PROXIES is 0: if there is a proxy in front, "
        "all clients share its address, and 100 failed log-ins of one lock all of them out. "
        "Set TRUSTED_PROXIES to the number of proxies."
    )


def network_of(address: str) -> str:
    """The IPv4 address, or the /64 network of an IPv6 address: one client has all of it.

    Any other text is returned as it is, and so is a network that this has returned.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    # A socket for both versions shows IPv4 clients like this. All of them share one /64.
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
