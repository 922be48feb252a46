"""JSON Web Tokens that say who somebody is. They are read without the database."""

import secrets
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import NamedTuple

import jwt
from django.conf import settings

from users.models import User
from users.revocation import digest

ALGORITHM = "HS256"
LEEWAY = 30  # seconds that the clock of another machine may differ from this one's


class InvalidToken(Exception):
    """The text is not a token that this server has signed."""

    code = "authentication_failed"


class ExpiredToken(InvalidToken):
    """The token was valid once."""

    code = "token_expired"


class Token(NamedTuple):
    """A token with a good signature."""

    text: str
    user_id: int
    generation: int
    expires_at: int
    """Seconds since 1970."""

    def is_current(self, user: User) -> bool:
        """Whether no new password has ended it. `user` is the one that the token names."""
        return (
            self.generation == user.token_generation or digest(self.text) == user.kept_token_sha256
        )


def issue(user_id: int, generation: int = 0) -> str:
    """A token for the user, good for `settings.TOKEN_LIFETIME` from now, or until the user's
    `token_generation` is another one."""
    now = datetime.now(UTC)
    claims = {
        "sub": str(user_id),
        "iat": now,
        "exp": now + settings.TOKEN_LIFETIME,
        "gen": generation,
        # Two log-ins within a second get two tokens, of which one can be kept.
        "jti": secrets.token_urlsafe(12),
    }
    return jwt.encode(claims, settings.SECRET_KEY, algorithm=ALGORITHM)


def read(text: str) -> Token:
    """The token, whose user may not exist any more, or may have ended it.

    Raises ExpiredToken or InvalidToken, and nothing else.
    """
    try:
        token = _verified(text, settings.SECRET_KEY)
    except jwt.ExpiredSignatureError as error:
        raise ExpiredToken from error
    # PyJWT lets some errors of the parsers below it through.
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise InvalidToken from error
    if token.expires_at <= time() - LEEWAY:
        raise ExpiredToken
    return token


# Verifying a token takes 33 µs, and most requests bring a token that was verified before. The
# cache keeps only good tokens, 0.5 kB each: clients cannot fill it with tokens of their own.
@lru_cache(maxsize=4096)
def _verified(text: str, key: str) -> Token:
    claims = jwt.decode(
        text,
        key,
        # Pinned: whoever could choose the algorithm could choose "none".
        algorithms=[ALGORITHM],
        leeway=LEEWAY,
        options={"require": ["sub", "iat", "exp"]},
    )
    return Token(
        text=text,
        user_id=int(claims["sub"]),
        # Tokens from before there were generations are of the first.
        generation=claims.get("gen", 0),
        expires_at=int(claims["exp"]),
    )
