from datetime import timedelta

import jwt
import pytest
from pytest_django import Settings

from users import tokens


def test_it_identifies_its_user() -> None:
    assert tokens.read(tokens.issue(7)).user_id == 7


def test_its_claims_are_subject_issue_expiry_generation_and_id(settings: Settings) -> None:
    token = tokens.issue(7)

    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})

    assert header["alg"] == "HS256"
    assert claims.keys() == {"sub", "iat", "exp", "gen", "jti"}
    assert claims["sub"] == "7"
    assert claims["gen"] == 0
    assert claims["exp"] - claims["iat"] == settings.TOKEN_LIFETIME.total_seconds()


def test_all_tokens_are_different() -> None:
    assert len({tokens.issue(7) for _ in range(100)}) == 100


def test_it_refuses_an_old_token_as_expired(settings: Settings) -> None:
    settings.TOKEN_LIFETIME = timedelta(seconds=-31)

    with pytest.raises(tokens.ExpiredToken):
        tokens.read(tokens.issue(7))


def test_it_refuses_a_token_signed_with_another_key(settings: Settings) -> None:
    token = tokens.issue(7)
    settings.SECRET_KEY = "another key, as long as the first one was"

    with pytest.raises(tokens.InvalidToken):
        tokens.read(token)


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "ÿ.ÿ.ÿ", "e30.e30.e30", "[" * 10_000, "eyJhbGciOiJub25lIn0.e30."],
)
def test_it_refuses_malformed_text_without_another_error(token: str) -> None:
    with pytest.raises(tokens.InvalidToken):
        tokens.read(token)
