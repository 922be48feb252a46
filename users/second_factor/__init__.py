"""The second factor of staff: a code of an authenticator app (TOTP, RFC 6238), or a recovery code.

It is for the admin only. The API never asks for it.
"""

from users.second_factor.devices import has_second_factor, remove_second_factors
from users.second_factor.sessions import Missing, missing
from users.second_factor.views import enter_code, manage

__all__ = [
    "Missing",
    "enter_code",
    "has_second_factor",
    "manage",
    "missing",
    "remove_second_factors",
]
