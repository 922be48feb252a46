"""JSON Web Tokens that identify users. Reading one needs no database."""

import secrets
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import NamedTuple

import jwt
from django.conf import settings
from django.db.models import BigIntegerField

from users.models import User
from users.revocation import digest

ALGORITHM = "HS256"
LEEWAY = 30  # seconds by which the clocks of two machines may differ


class InvalidToken(Exception):
    """The token is malformed, wrongly signed, ended, or its user is not active."""

    code = "authentication_failed"


class ExpiredToken(InvalidToken):
    """The signature is good, but the token has expired."""

    code = "token_expired"


class Token(NamedTuple):
    """A token with a good signature."""

    text: str
    user_id: int
    generation: int
    expires_at: int
    """Seconds since 1970."""

    def is_current(self, user: User) -> bool:
        """Whether the token is still valid for its user. A new password ends other tokens."""
        return (
            self.generation == user.token_generation or digest(self.text) == user.kept_token_sha256
        )


def issue(user_id: int, generation: int = 0) -> str:
    """A new token for the user. It is valid for `settings.TOKEN_LIFETIME`, or until the user's
    `token_generation` changes."""
    now = datetime.now(UTC)
    claims = {
        "sub": str(user_id),
        "iat": now,
        "exp": now + settings.TOKEN_LIFETIME,
        "gen": generation,
        # Makes two tokens of the same second different, so that one can be kept and one ended.
        "jti": secrets.token_urlsafe(12),
    }
    return jwt.encode(claims, settings.SECRET_KEY, algorithm=ALGORITHM)


def read(text: str) -> Token:
    """The token in the text. Its user may be deleted, or may have ended the token.

    Raises only ExpiredToken and InvalidToken.
    """
    try:
        token = _verified(text, settings.SECRET_KEY)
    except jwt.ExpiredSignatureError as error:
        raise ExpiredToken from error
    # PyJWT passes on some errors of the parsers that it calls.
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise InvalidToken from error
    if token.expires_at <= time() - LEEWAY:
        raise ExpiredToken
    return token


# Most requests have a token that was verified before: without the cache, an authenticated list
# request takes 20 % more CPU time. The cache keeps only valid tokens, 0.5 kB each, so clients
# cannot fill it with invented ones.
@lru_cache(maxsize=4096)
def _verified(text: str, key: str) -> Token:
    claims = jwt.decode(
        text,
        key,
        # Pinned: an attacker who could choose the algorithm would choose "none".
        algorithms=[ALGORITHM],
        leeway=LEEWAY,
        options={"require": ["sub", "iat", "exp"]},
    )
    user_id = int(claims["sub"])
    if not 0 < user_id <= BigIntegerField.MAX_BIGINT:
        raise ValueError("no user can have this id")
    return Token(
        text=text,
        user_id=user_id,
        # Old tokens have no generation, and belong to the first one.
        generation=claims.get("gen", 0),
        expires_at=int(claims["exp"]),
    )
