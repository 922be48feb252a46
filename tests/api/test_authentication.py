"""The header `Authorization`: its valid and invalid values, on private and public endpoints."""

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as project
from pytest_django import Settings

from articles.models import Article
from tests.builders import PASSWORD, like, write_comment
from tests.client import ApiClient
from users import tokens
from users.models import User

Api = Callable[..., ApiClient]

MISSING = {"errors": {"token": ["is missing"]}}
INVALID = {"errors": {"token": ["is invalid"]}}
EXPIRED = {"errors": {"token": ["has expired"]}}
BAD_TOKEN = 'Token error="invalid_token"'

# The rows of these paths do not exist: 401 comes before 404.
REQUIRED = [
    ("GET", "/api/user"),
    ("PUT", "/api/user"),
    ("POST", "/api/profiles/nobody/follow"),
    ("DELETE", "/api/profiles/nobody/follow"),
    ("GET", "/api/articles/feed"),
    ("POST", "/api/articles"),
    ("PUT", "/api/articles/nothing"),
    ("DELETE", "/api/articles/nothing"),
    ("POST", "/api/articles/nothing/favorite"),
    ("DELETE", "/api/articles/nothing/favorite"),
    ("POST", "/api/articles/nothing/comments"),
    ("DELETE", "/api/articles/nothing/comments/1"),
]
OPTIONAL = [
    "/api/profiles/alice",
    "/api/articles",
    "/api/articles/how-to-train-your-dragon",
    "/api/articles/how-to-train-your-dragon/comments",
]
required = pytest.mark.parametrize(("method", "path"), REQUIRED)
optional = pytest.mark.parametrize("path", OPTIONAL)


def client_with_header(api: Api, header: str) -> ApiClient:
    return api(headers={"Authorization": header})


def claims(user: User, **changes: Any) -> dict[str, Any]:
    """The claims of a token that the server issues; a change to None removes the claim."""
    token = tokens.issue(user.pk)
    own = jwt.decode(token, options={"verify_signature": False}) | changes
    return {claim: value for claim, value in own.items() if value is not None}


def sign(payload: dict[str, Any], key: str | None = None, algorithm: str = "HS256") -> str:
    """A token with the server's signature and any JSON, also JSON that `jwt.encode` refuses."""
    return jwt.api_jws.encode(
        json.dumps(payload).encode(), key or project.SECRET_KEY, algorithm=algorithm
    )


def encode_segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_a_token_identifies_the_user(api: Api, alice: User, charlie: User) -> None:
    assert api(alice).get("/api/user").json()["user"]["username"] == "alice"
    assert api(charlie).get("/api/user").json()["user"]["username"] == "charlie"


@required
@pytest.mark.django_db
def test_a_private_endpoint_needs_a_token(api: Api, method: str, path: str) -> None:
    response = api().generic(method, path, content_type="application/json")

    assert response.status_code == 401
    assert response.json() == MISSING


@required
@pytest.mark.django_db
def test_a_private_endpoint_refuses_a_bad_token(api: Api, method: str, path: str) -> None:
    client = client_with_header(api, "Token garbage")

    response = client.generic(method, path, content_type="application/json")

    assert response.status_code == 401
    assert response.json() == INVALID


@required
def test_a_private_endpoint_refuses_an_expired_token(
    api: Api, alice: User, settings: Settings, method: str, path: str
) -> None:
    settings.TOKEN_LIFETIME = timedelta(seconds=-31)

    response = api(alice).generic(method, path, content_type="application/json")

    assert response.status_code == 401
    assert response.json() == EXPIRED


@required
def test_a_private_endpoint_accepts_a_valid_token(
    api: Api, charlie: User, method: str, path: str
) -> None:
    response = api(charlie).generic(method, path, "{}", content_type="application/json")

    assert response.status_code in (200, 404, 422)


@optional
def test_a_public_read_needs_no_token(api: Api, article: Article, path: str) -> None:
    assert api().get(path).status_code == 200


@optional
@pytest.mark.parametrize(
    "header",
    ["Token garbage", "Bearer garbage", "Basic YWxpY2U6aG9yc2U=", "garbage", "Token a b"],
)
def test_a_public_read_ignores_a_bad_token(
    api: Api, article: Article, path: str, header: str
) -> None:
    response = client_with_header(api, header).get(path)

    assert response.status_code == 200
    assert response.json() == api().get(path).json()
    assert response.headers["WWW-Authenticate"] == BAD_TOKEN


@optional
def test_a_public_read_ignores_an_expired_token(
    api: Api, article: Article, bob: User, settings: Settings, path: str
) -> None:
    like(bob, article)
    settings.TOKEN_LIFETIME = timedelta(seconds=-31)

    response = api(bob).get(path)

    assert response.status_code == 200
    assert response.json() == api().get(path).json()
    assert response.headers["WWW-Authenticate"] == BAD_TOKEN


@optional
def test_a_public_read_has_no_challenge_without_a_bad_token(
    api: Api, article: Article, bob: User, path: str
) -> None:
    for client in (api(), api(bob), client_with_header(api, ""), client_with_header(api, " ")):
        assert "WWW-Authenticate" not in client.get(path).headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/profiles/nobody", 404),
        ("/api/articles/nothing", 404),
        ("/api/articles/nothing/comments", 404),
        ("/api/articles?limit=0", 422),
    ],
)
@pytest.mark.django_db
def test_a_failed_public_read_has_the_challenge_too(api: Api, path: str, status: int) -> None:
    response = client_with_header(api, "Token garbage").get(path)

    assert response.status_code == status
    assert response.headers["WWW-Authenticate"] == BAD_TOKEN


@optional
def test_head_is_a_public_read_too(api: Api, article: Article, path: str) -> None:
    response = client_with_header(api, "Token garbage").head(path)

    assert response.status_code == 200
    assert response.headers["WWW-Authenticate"] == BAD_TOKEN


@required
@pytest.mark.django_db
def test_a_401_has_the_plain_challenge(api: Api, method: str, path: str) -> None:
    for client in (api(), client_with_header(api, "Token garbage")):
        response = client.generic(method, path, content_type="application/json")

        assert response.headers["WWW-Authenticate"] == "Token"


@optional
def test_a_page_from_another_origin_can_read_the_challenge(
    api: Api, article: Article, path: str
) -> None:
    headers = {"Authorization": "Token garbage", "Origin": "https://front.example"}

    exposed = api(headers=headers).get(path).headers["Access-Control-Expose-Headers"]

    assert {name.strip() for name in exposed.split(",")} == {
        "Link",
        "Location",
        "Retry-After",
        "WWW-Authenticate",
        "X-Request-Id",
    }


@optional
@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
def test_a_public_read_accepts_a_valid_token(
    api: Api, article: Article, bob: User, path: str, scheme: str
) -> None:
    write_comment(article.author, article)

    response = client_with_header(api, f"{scheme} {tokens.issue(bob.pk)}").get(path)

    assert response.status_code == 200
    assert '"following":true' in response.text


@pytest.mark.parametrize("header", ["Token garbage", "Bearer x.y.z", "Basic YWxpY2U6aG9yc2U=", "?"])
def test_endpoints_without_authentication_ignore_a_bad_token(
    api: Api, alice: User, header: str
) -> None:
    client = client_with_header(api, header)
    new = {"username": "new", "email": "new@example.com", "password": PASSWORD}
    credentials = {"email": "alice@example.com", "password": PASSWORD}

    assert client.post("/api/users", {"user": new}).status_code == 201
    assert client.post("/api/users/login", {"user": credentials}).status_code == 200
    assert client.get("/api/tags").status_code == 200
    assert client.get("/health").status_code == 200


def test_endpoints_without_authentication_ignore_a_valid_token(
    api: Api, alice: User, bob: User
) -> None:
    client = api(bob)
    new = {"username": "new", "email": "new@example.com", "password": PASSWORD}
    credentials = {"email": "alice@example.com", "password": PASSWORD}

    registered = client.post("/api/users", {"user": new}).json()["user"]
    logged_in = client.post("/api/users/login", {"user": credentials}).json()["user"]

    assert registered["username"] == "new"
    assert logged_in["username"] == "alice"
    for shown in (registered, logged_in):
        again = client_with_header(api, f"Token {shown['token']}").get("/api/user").json()["user"]
        assert again["username"] == shown["username"]


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "token", "bearer"])
def test_both_schemes_work(api: Api, alice: User, scheme: str) -> None:
    response = client_with_header(api, f"{scheme} {tokens.issue(alice.pk)}").get("/api/user")

    assert response.status_code == 200
    assert response.json()["user"]["username"] == "alice"


def test_a_session_is_not_a_token(api: Api, alice: User) -> None:
    client = api()
    client.force_login(alice)

    response = client.get("/api/user")

    assert response.status_code == 401
    assert response.json() == MISSING


@pytest.mark.parametrize("header", ["", " "])
def test_an_empty_header_is_a_missing_token(api: Api, alice: User, header: str) -> None:
    response = client_with_header(api, header).get("/api/user")

    assert response.status_code == 401
    assert response.json() == MISSING


@pytest.mark.parametrize("header", ["Token", "Bearer", "Token "])
def test_a_scheme_alone_is_refused(api: Api, alice: User, header: str) -> None:
    response = client_with_header(api, header).get("/api/user")

    assert response.status_code == 401
    assert response.json() in (MISSING, INVALID)


# Each function makes a malformed header of a valid token.
MALFORMED_HEADERS: dict[str, Callable[[str], str]] = {
    "without a scheme": lambda good: good,
    "of another scheme": lambda good: f"JWT {good}",
    "of the scheme Basic": lambda good: f"Basic {good}",
    "of two schemes": lambda good: f"Token Bearer {good}",
    "twice": lambda good: f"Token {good} {good}",
    "after a colon": lambda good: f"Token: {good}",
    "in quotation marks": lambda good: f'Token "{good}"',
    "garbage": lambda good: "Token garbage",
    "dots": lambda good: "Token ..",
    "null": lambda good: "Token null",
    "undefined": lambda good: "Token undefined",
    "not ASCII": lambda good: "Token gärbäge",
    "bytes": lambda good: "Token \xff\xfe\xfd",
    "NUL": lambda good: f"Token {good}\0",
    "very long": lambda good: f"Token {'x' * 50_000}",
    "truncated by one character": lambda good: f"Token {good[:-1]}",
    "truncated by its signature": lambda good: f"Token {good.rpartition('.')[0]}",
    "with an empty signature": lambda good: f"Token {good.rpartition('.')[0]}.",
    "truncated by half": lambda good: f"Token {good[: len(good) // 2]}",
    "without its header": lambda good: f"Token {good.partition('.')[2]}",
    "with a fourth part": lambda good: f"Token {good}.{good}",
    "with other claims": lambda good: (
        f"Token {good.split('.')[0]}.{encode_segment(b'{"sub":"1"}')}.{good.split('.')[2]}"
    ),
}


@pytest.mark.parametrize("break_token", MALFORMED_HEADERS.values(), ids=MALFORMED_HEADERS.keys())
def test_a_malformed_token_is_refused(
    api: Api, alice: User, break_token: Callable[[str], str]
) -> None:
    response = client_with_header(api, break_token(tokens.issue(alice.pk))).get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b"\xff\xfe",
        b"[" * 20_000,
        b'{"alg":%s}' % (b"9" * 5_000),
        b'{"alg":1e400}',
        b'{"alg":256}',
        b'{"alg":["HS256"]}',
        b'{"alg":{}}',
        b'{"alg":null}',
        b'{"alg":"XX"}',
        b'{"alg":"HS512"}',
        b'{"alg":"RS256"}',
        b'{"alg":"ES256","jwk":{}}',
        rb'{"alg":"\ud800"}',
        b'{"alg":"HS256","kid":7}',
        b'{"alg":"HS256","crit":["b64"],"b64":false}',
        b'{"alg":"HS256","b64":false}',
    ],
    ids=lambda header: ascii(header[:20]),
)
def test_a_token_with_an_invalid_header_is_refused(api: Api, alice: User, header: bytes) -> None:
    _, payload, signature = tokens.issue(alice.pk).split(".")

    response = client_with_header(api, f"Token {encode_segment(header)}.{payload}.{signature}").get(
        "/api/user"
    )

    assert response.status_code == 401
    assert response.json() == INVALID


@pytest.mark.parametrize("position", [0, 1, 2], ids=["header", "claims", "signature"])
def test_a_token_with_one_letter_changed_is_refused(api: Api, alice: User, position: int) -> None:
    parts = tokens.issue(alice.pk).split(".")
    # Change a letter in the middle: the last letter of a part has unused bits.
    middle = len(parts[position]) // 2
    other = "B" if parts[position][middle] == "A" else "A"
    parts[position] = parts[position][:middle] + other + parts[position][middle + 1 :]

    response = client_with_header(api, f"Token {'.'.join(parts)}").get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID


def test_a_token_with_all_claims_and_the_right_key_is_accepted(api: Api, alice: User) -> None:
    response = client_with_header(api, f"Token {sign(claims(alice))}").get("/api/user")

    assert response.status_code == 200


@pytest.mark.parametrize(
    "key", ["the key of another project, long enough", "the key of another server, just as long"]
)
def test_a_token_signed_with_another_key_is_refused(api: Api, alice: User, key: str) -> None:
    response = client_with_header(api, f"Token {sign(claims(alice), key)}").get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", "x", "the good one"])
def test_a_token_without_an_algorithm_is_refused(
    api: Api, alice: User, name: str, signature: str
) -> None:
    header = json.dumps({"typ": "JWT", "alg": name}).encode()
    payload = json.dumps(claims(alice)).encode()
    if signature == "the good one":
        signature = tokens.issue(alice.pk).split(".")[2]

    token = f"{encode_segment(header)}.{encode_segment(payload)}.{signature}"
    response = client_with_header(api, f"Token {token}").get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_with_another_algorithm_is_refused(
    api: Api, alice: User, settings: Settings, algorithm: str
) -> None:
    settings.SECRET_KEY = "x" * 64  # PyJWT warns when the key is too short for the algorithm

    response = client_with_header(api, f"Token {sign(claims(alice), algorithm=algorithm)}").get(
        "/api/user"
    )

    assert response.status_code == 401
    assert response.json() == INVALID


def test_an_expired_token_is_reported_as_expired(api: Api, alice: User) -> None:
    expired = sign(claims(alice, exp=int(time.time()) - 31))

    response = client_with_header(api, f"Token {expired}").get("/api/user")

    assert response.status_code == 401
    assert response.json() == EXPIRED


@pytest.mark.parametrize("changes", [{"iat": 25}, {"exp": -25}, {"iat": 25, "exp": -25}], ids=str)
def test_clocks_may_differ_by_half_a_minute(api: Api, alice: User, changes: dict[str, int]) -> None:
    now = int(time.time())
    token = sign(claims(alice, **{claim: now + off for claim, off in changes.items()}))

    # The second request finds the token in the cache.
    for _ in range(2):
        assert client_with_header(api, f"Token {token}").get("/api/user").status_code == 200


def test_a_token_issued_40_seconds_in_the_future_is_refused(api: Api, alice: User) -> None:
    ahead = sign(claims(alice, iat=int(time.time()) + 40))

    response = client_with_header(api, f"Token {ahead}").get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID


def test_the_setting_decides_the_lifetime_of_a_token(
    api: Api, alice: User, settings: Settings
) -> None:
    settings.TOKEN_LIFETIME = timedelta(hours=1)

    issued = jwt.decode(tokens.issue(alice.pk), options={"verify_signature": False})

    assert issued["exp"] - issued["iat"] == 3600


def test_an_expired_token_with_a_wrong_signature_is_invalid(api: Api, alice: User) -> None:
    token = sign(claims(alice, exp=1), "the key of another project, long enough")

    response = client_with_header(api, f"Token {token}").get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID


def test_a_token_of_a_deleted_user_is_refused(api: Api, alice: User) -> None:
    client = api(alice)
    alice.delete()

    response = client.get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID


def test_a_token_of_an_inactive_user_is_refused(api: Api, alice: User) -> None:
    client = api(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)

    response = client.get("/api/user")
    public = client.get("/api/articles")

    assert response.status_code == 401
    assert response.json() == INVALID
    assert public.status_code == 200
    assert public.headers["WWW-Authenticate"] == BAD_TOKEN
    assert client.get("/api/tags").status_code == 200


@pytest.mark.parametrize(
    "subject",
    [
        "999999999",
        "0",
        "-1",
        "alice",
        "",
        " ",
        "1.0",
        "1e3",
        "0x1",
        "None",
        "\0",
        "1\0",
        "\u00bd",
        str(2**31),
        str(2**63 - 1),
        str(2**63),
        str(2**64),
        str(-(2**63) - 1),
        "9" * 4_000,
        "9" * 5_000,
        1,
        1.5,
        True,
        [],
        ["1"],
        {},
        {"id": "1"},
        10**30,
        float("inf"),
        float("nan"),
    ],
    ids=lambda subject: ascii(subject)[:25],
)
def test_a_token_with_an_unknown_subject_is_refused(api: Api, alice: User, subject: Any) -> None:
    token = sign(claims(alice, sub=subject))

    response = client_with_header(api, f"Token {token}").get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": None},
        {"exp": None},
        {"sub": None, "exp": None, "iat": None},
        {"exp": "tomorrow"},
        {"exp": []},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": True},
        {"iat": "yesterday"},
        {"iat": float("inf")},
        {"iat": 10**12},
        {"nbf": 10**12},
        {"nbf": float("inf")},
        {"aud": "another server"},
    ],
    ids=str,
)
def test_a_token_with_missing_or_invalid_claims_is_refused(
    api: Api, alice: User, changes: dict[str, Any]
) -> None:
    token = sign(claims(alice, **changes))

    response = client_with_header(api, f"Token {token}").get("/api/user")

    assert response.status_code == 401
    assert response.json() in (INVALID, EXPIRED)


@pytest.mark.parametrize("payload", [b"[]", b"null", b"7", b'"x"', b"", b"{", b"\xff"], ids=ascii)
def test_a_token_whose_claims_are_not_an_object_is_refused(
    api: Api, alice: User, payload: bytes
) -> None:
    token = jwt.api_jws.encode(payload, project.SECRET_KEY, algorithm="HS256")

    response = client_with_header(api, f"Token {token}").get("/api/user")

    assert response.status_code == 401
    assert response.json() == INVALID
