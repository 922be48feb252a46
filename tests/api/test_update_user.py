import unicodedata
from collections.abc import Callable
from typing import Any, Literal

import pytest

from tests.builders import PASSWORD, make_user, write_article
from tests.client import ApiClient
from users.models import User
from users.names import fold

Api = Callable[..., ApiClient]
Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

USERNAME_TAKEN = {"errors": {"username": ["has already been taken"]}}
EMAIL_TAKEN = {"errors": {"email": ["has already been taken"]}}


def put(client: ApiClient, **fields: Any) -> Any:
    return client.put("/api/user", {"user": fields})


def log_in_status(client: ApiClient, email: str, password: str) -> int:
    credentials = {"user": {"email": email, "password": password}}
    status: int = client.post("/api/users/login", credentials).status_code
    return status


def stored_row(user: User) -> dict[str, Any]:
    row: dict[str, Any] = {**User.objects.filter(pk=user.pk).values().get()}
    return row


def test_it_changes_the_fields_that_are_sent(api: Api, alice: User) -> None:
    response = put(
        api(alice),
        email="alice.smith@example.com",
        username="alice.smith",
        bio="I write.",
        image="https://example.com/alice.png",
    )

    assert response.status_code == 200
    token = response.json()["user"]["token"]
    assert response.json() == {
        "user": {
            "email": "alice.smith@example.com",
            "token": token,
            "username": "alice.smith",
            "bio": "I write.",
            "image": "https://example.com/alice.png",
        }
    }
    shown = api(headers={"Authorization": f"Token {token}"}).get("/api/user").json()
    assert shown["user"]["username"] == "alice.smith"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "new@example.com"),
        ("username", "new.name"),
        ("bio", "Something new"),
        ("image", "https://example.com/new.png"),
    ],
)
@pytest.mark.django_db
def test_it_keeps_the_fields_that_are_absent(api: Api, field: str, value: str) -> None:
    alice = make_user("alice", bio="I write.", image="https://example.com/alice.png")
    before = api(alice).get("/api/user").json()["user"]

    response = put(api(alice), **{field: value})

    assert response.status_code == 200
    after = api(alice).get("/api/user").json()["user"]
    assert after | {"token": ""} == before | {field: value, "token": ""}
    assert log_in_status(api(), after["email"], PASSWORD) == 200


def test_a_request_without_fields_changes_nothing(api: Api, alice: User) -> None:
    before = stored_row(alice)

    response = put(api(alice))

    assert response.status_code == 200
    assert response.json()["user"]["username"] == "alice"
    assert stored_row(alice) == before


def test_it_ignores_unknown_keys(api: Api, alice: User) -> None:
    before = stored_row(alice)

    response = put(api(alice), id=7, is_staff=True, is_superuser=True, is_active=False, token="x")

    assert response.status_code == 200
    assert response.json()["user"].keys() == {"email", "token", "username", "bio", "image"}
    assert stored_row(alice) == before


def test_it_changes_the_password(api: Api, alice: User) -> None:
    response = put(api(alice), password="another horse")

    assert response.status_code == 200
    assert response.json()["user"].keys() == {"email", "token", "username", "bio", "image"}
    assert log_in_status(api(), "alice@example.com", "another horse") == 200
    assert log_in_status(api(), "alice@example.com", PASSWORD) == 401


def test_a_login_needs_the_new_email(api: Api, alice: User) -> None:
    put(api(alice), email="New@example.com")

    assert log_in_status(api(), "new@example.com", PASSWORD) == 200
    assert log_in_status(api(), "alice@example.com", PASSWORD) == 401


def test_a_new_username_is_shown_everywhere(api: Api, alice: User, bob: User) -> None:
    article = write_article(alice)

    put(api(alice), username="alice.smith")

    assert api().get("/api/profiles/alice").status_code == 404
    profile = api(bob).get("/api/profiles/alice.smith").json()["profile"]
    assert profile["following"] is True
    shown = api().get(f"/api/articles/{article.slug}").json()["article"]
    assert shown["author"]["username"] == "alice.smith"


@pytest.mark.parametrize(
    "change",
    [{"email": "new@example.com"}, {"username": "new"}, {"password": "another horse"}],
    ids=str,
)
def test_the_token_in_use_stays_valid(api: Api, alice: User, change: dict[str, str]) -> None:
    client = api(alice)

    token = put(client, **change).json()["user"]["token"]

    assert client.get("/api/user").status_code == 200
    assert api(headers={"Authorization": f"Token {token}"}).get("/api/user").status_code == 200


@pytest.mark.parametrize("blank", [None, "", " ", "\t\n"], ids=ascii)
@pytest.mark.parametrize("field", ["email", "username"])
def test_it_refuses_a_blank_name(api: Api, alice: User, field: str, blank: str | None) -> None:
    before = stored_row(alice)

    response = put(api(alice), **{field: blank, "bio": "not to be stored"})

    assert response.status_code == 422
    assert response.json() == {"errors": {field: ["can't be blank"]}}
    assert stored_row(alice) == before


@pytest.mark.parametrize(
    ("password", "message"),
    [
        (None, "can't be blank"),
        ("", "can't be blank"),
        ("a", "is too short (minimum is 8 characters)"),
        ("1234567", "is too short (minimum is 8 characters)"),
    ],
)
def test_it_refuses_a_password_under_8_characters(
    api: Api, alice: User, password: str | None, message: str
) -> None:
    response = put(api(alice), password=password)

    assert response.status_code == 422
    assert response.json() == {"errors": {"password": [message]}}
    assert log_in_status(api(), "alice@example.com", PASSWORD) == 200


@pytest.mark.parametrize(
    "password", ["password123", "bonjour1", "12345678", "  spaces ", "x" * 128]
)
def test_it_accepts_every_password_of_8_to_128_characters(
    api: Api, alice: User, password: str
) -> None:
    assert put(api(alice), password=password).status_code == 200
    assert log_in_status(api(), "alice@example.com", password) == 200


@pytest.mark.parametrize(
    "image",
    [
        "https://example.com/alice.png",
        "not a url",
        "  spaces  ",
        " ",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "<img src=x onerror=alert(1)>",
        "/alice.png",
        "😀",
        "x" * 4096,
    ],
    ids=lambda image: image[:30],
)
def test_any_image_is_stored_unchanged(api: Api, alice: User, image: str) -> None:
    response = put(api(alice), image=image)

    assert response.status_code == 200
    assert response.json()["user"]["image"] == image
    assert api().get("/api/profiles/alice").json()["profile"]["image"] == image


@pytest.mark.parametrize(
    "bio",
    [
        "  white space \n\n is kept\t",
        "   ",
        "<script>alert('&amp;')</script>",
        "日本語 😀 e\u0301",
        "é" * 2000,
    ],
    ids=lambda bio: ascii(bio[:30]),
)
def test_a_bio_is_stored_unchanged(api: Api, alice: User, bio: str) -> None:
    response = put(api(alice), bio=bio)

    assert response.status_code == 200
    assert response.json()["user"]["bio"] == bio
    assert api().get("/api/profiles/alice").json()["profile"]["bio"] == bio


@pytest.mark.parametrize("nothing", ["", None])
@pytest.mark.parametrize("field", ["bio", "image"])
@pytest.mark.django_db
def test_it_clears_bio_and_image(api: Api, field: str, nothing: str | None) -> None:
    alice = make_user("alice", bio="I write.", image="https://example.com/alice.png")

    response = put(api(alice), **{field: nothing})

    assert response.status_code == 200
    assert response.json()["user"][field] is None
    assert api().get("/api/profiles/alice").json()["profile"][field] is None
    assert stored_row(alice)[field] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "!!!"),
        ("username", "..."),
        ("username", "a b"),
        ("username", "😀"),
        ("username", "a" * 65),
        ("email", "nowhere"),
        ("email", "a b@example.com"),
        ("email", f"{'a' * 64}@{'.'.join(['d' * 45] * 4)}.worlds"),
        ("password", "x" * 129),
        ("password", " " * 8),
        ("bio", "é" * 2001),
        ("image", "x" * 4097),
        *((field, "nul\0nul") for field in ("email", "username", "password", "bio", "image")),
    ],
    ids=lambda value: ascii(value[:20]),
)
def test_it_refuses_an_invalid_value(api: Api, alice: User, field: str, value: str) -> None:
    before = stored_row(alice)

    response = put(api(alice), **{field: value})

    assert response.status_code == 422
    assert response.json()["errors"].keys() == {field}
    assert stored_row(alice) == before


@pytest.mark.parametrize("value", [7, 1.5, True, False, ["alice"], {"x": "y"}], ids=str)
@pytest.mark.parametrize("field", ["email", "username", "password", "bio", "image"])
def test_it_refuses_a_value_that_is_not_a_string(
    api: Api, alice: User, field: str, value: Any
) -> None:
    before = stored_row(alice)

    response = put(api(alice), **{field: value})

    assert response.status_code == 422
    assert response.json()["errors"].keys() == {field}
    assert stored_row(alice) == before


def test_it_reports_all_invalid_fields_at_once(api: Api, alice: User) -> None:
    response = put(api(alice), email="", username=None, password="short", bio=7, image=[])

    assert response.status_code == 422
    errors = response.json()["errors"]
    assert errors.keys() == {"email", "username", "password", "bio", "image"}
    assert errors["email"] == errors["username"] == ["can't be blank"]
    assert errors["password"] == ["is too short (minimum is 8 characters)"]


@pytest.mark.parametrize("username", ["john.doe", "日本語", "हिन्दी", "ΣΊΣΥΦΟΣ", "a" * 64, "é" * 64])
def test_it_accepts_letters_of_any_script(api: Api, alice: User, username: str) -> None:
    response = put(api(alice), username=username)

    assert response.status_code == 200
    assert response.json()["user"]["username"] == username


@pytest.mark.parametrize("username", ["\u3164", "janet\u034f", "7\u20e3", "a b"], ids=ascii)
def test_a_stored_name_that_new_names_may_not_have_is_kept(
    api: Api, alice: User, bob: User, username: str
) -> None:
    User.objects.filter(pk=bob.pk).update(username=username, username_folded=fold(username))
    client = api(bob)

    assert log_in_status(api(), "bob@example.com", PASSWORD) == 200
    assert api().get(f"/api/profiles/{username}").json()["profile"]["username"] == username
    # Front ends send all fields back unchanged.
    kept = put(client, username=username, bio="new")
    assert (kept.status_code, kept.json()["user"]["username"]) == (200, username)
    assert put(api(alice), username=username).status_code == 422
    assert put(client, username="bob").status_code == 200
    assert put(client, username=username).status_code == 422


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_it_shows_names_in_nfc(api: Api, alice: User, form: Form) -> None:
    response = put(
        api(alice),
        username=unicodedata.normalize(form, "René"),
        email=unicodedata.normalize(form, "a@bücher.example"),
    )

    assert response.json()["user"]["username"] == "Ren\u00e9"
    assert response.json()["user"]["email"] == "a@b\u00fccher.example"
    assert log_in_status(api(), unicodedata.normalize(form, "a@bücher.example"), PASSWORD) == 200


def test_it_trims_username_and_email(api: Api, alice: User) -> None:
    response = put(api(alice), username="\t new ", email=" new@example.com\n")

    assert response.status_code == 200
    assert response.json()["user"]["username"] == "new"
    assert response.json()["user"]["email"] == "new@example.com"


@pytest.mark.parametrize(
    ("theirs", "wanted"),
    [
        ("bob", "bob"),
        ("bob", " BOB "),
        ("ÄRGER", "ärger"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("Straße", "STRASSE"),
        ("İzmir", "i̇zmir"),
        ("ren\N{LATIN SMALL LETTER E WITH ACUTE}", "rene\u0301"),
        ("rene\u0301", "ren\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("bob", "\uff42\uff4f\uff42"),
        ("\uff42\uff4f\uff42", "BOB"),
    ],
)
def test_it_refuses_a_username_that_is_taken(
    api: Api, alice: User, theirs: str, wanted: str
) -> None:
    make_user(theirs, email="somebody@example.com")
    before = stored_row(alice)

    response = put(api(alice), username=wanted, bio="not to be stored")

    assert response.status_code == 409
    assert response.json() == USERNAME_TAKEN
    assert stored_row(alice) == before


@pytest.mark.parametrize(
    ("theirs", "wanted"),
    [
        ("bob@example.com", "bob@example.com"),
        ("bob@example.com", " BOB@Example.com "),
        ("bob@ÄRGER.example", "bob@ärger.example"),
        ("bob@σίσυφος.example", "bob@ΣΊΣΥΦΟΣ.example"),
    ],
)
def test_it_refuses_an_email_that_is_taken(api: Api, alice: User, theirs: str, wanted: str) -> None:
    make_user("bob", email=theirs)
    before = stored_row(alice)

    response = put(api(alice), email=wanted, bio="not to be stored")

    assert response.status_code == 409
    assert response.json() == EMAIL_TAKEN
    assert stored_row(alice) == before


def test_a_user_may_keep_their_own_names(api: Api, alice: User) -> None:
    same = put(api(alice), username="alice", email="alice@example.com")
    other_case = put(api(alice), username="ALICE", email="Alice@Example.com")

    assert same.status_code == other_case.status_code == 200
    assert other_case.json()["user"]["username"] == "ALICE"
    assert other_case.json()["user"]["email"] == "Alice@Example.com"


def test_an_old_name_can_be_used_again(api: Api, alice: User, charlie: User) -> None:
    put(api(alice), username="alice.smith", email="alice.smith@example.com")

    response = put(api(charlie), username="alice", email="alice@example.com")

    assert response.status_code == 200


def test_it_changes_no_other_user(api: Api, alice: User, bob: User, charlie: User) -> None:
    before = stored_row(alice), stored_row(bob)

    put(
        api(charlie),
        username="charles",
        email="charles@example.com",
        password="another horse",
        bio="Hm.",
        image="x",
    )

    assert (stored_row(alice), stored_row(bob)) == before


def test_it_needs_a_token(api: Api, alice: User) -> None:
    before = stored_row(alice)

    response = put(api(), username="mallory")

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}
    assert stored_row(alice) == before
