"""JSON Web Tokens that say who somebody is. They are checked without the database."""

from datetime import UTC, datetime

import jwt
from django.conf import settings

ALGORITHM = "HS256"


class InvalidToken(Exception):
    """The text is not a token that this server has signed."""


class ExpiredToken(InvalidToken):
    """The token was valid once."""


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
        claims = jwt.decode(
            token,
            settings.SECRET_KEY,
            # Pinned: whoever could choose the algorithm could choose "none".
            algorithms=[ALGORITHM],
            options={"require": ["sub", "iat", "exp"]},
        )
        return int(claims["sub"])
    except jwt.ExpiredSignatureError as error:
        raise ExpiredToken from error
    # PyJWT lets some errors of the parsers below it through.
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise InvalidToken from error
