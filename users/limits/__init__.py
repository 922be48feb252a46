"""Limits: how often a log-in may fail, and how often an address or an account may do something."""

from users.limits.keys import address_of
from users.limits.logins import LoginAttempt, LoginRefused, remember_address
from users.limits.throttles import RateThrottle

__all__ = [
    "LoginAttempt",
    "LoginRefused",
    "RateThrottle",
    "address_of",
    "remember_address",
]
