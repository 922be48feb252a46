"""JSON Web Tokens that say who somebody is. They are checked without the database."""

from datetime import UTC, datetime
from functools import lru_cache
from time import time

import jwt
from django.conf import settings

ALGORITHM = "HS256"
LEEWAY = 30  # seconds that the clock of another machine may differ from this one's


class InvalidToken(Exception):
    """The text is not a token that this server has signed."""

    code = "authentication_failed"


class ExpiredToken(InvalidToken):
    """The token was valid once."""

    code = "token_expired"


def issue(user_id: int) -> str:
    """A token for the user, valid for `settings.TOKEN_LIFETIME` from now."""
    now = datetime.now(UTC)
    claims = {"sub": str(user_id), "iat": now, "exp": now + settings.TOKEN_LIFETIME}
    return jwt.encode(claims, settings.SECRET_KEY, algorithm=ALGORITHM)


def user_id(token: str) -> int:
    """The id of the user whom the token names, who may not exist any more.

    Raises ExpiredToken or InvalidToken, and nothing else.
    """
    try:
        user, expires_at = _verified(token, settings.SECRET_KEY)
    except jwt.ExpiredSignatureError as error:
        raise ExpiredToken from error
    # PyJWT lets some errors of the parsers below it through.
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise InvalidToken from error
    if expires_at <= time() - LEEWAY:
        raise ExpiredToken
    return user


# The same few thousand tokens come again and again, and to verify one takes 33 µs. What raises
# is not kept, so that nobody but this server fills the cache: 0.5 kB for each token.
@lru_cache(maxsize=4096)
def _verified(token: str, key: str) -> tuple[int, int]:
    """Whom a token of this key names, and when it expires, in seconds since 1970."""
    claims = jwt.decode(
        token,
        key,
        # Pinned: whoever could choose the algorithm could choose "none".
        algorithms=[ALGORITHM],
        leeway=LEEWAY,
        options={"require": ["sub", "iat", "exp"]},
    )
    return int(claims["sub"]), int(claims["exp"])
