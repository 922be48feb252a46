"""Limits on failed logins, and on the requests of a client address or an account."""

from users.limits.client_addresses import client_address, network_of
from users.limits.logins import LoginAttempt, LoginRefused, remember_address
from users.limits.throttles import RateThrottle

__all__ = [
    "LoginAttempt",
    "LoginRefused",
    "RateThrottle",
    "client_address",
    "network_of",
    "remember_address",
]
