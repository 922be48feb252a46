import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.builders import PASSWORD, make_user
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

FIELDS = ("username", "email", "password")
USERNAME_TAKEN = {"errors": {"username": ["has already been taken"]}}
EMAIL_TAKEN = {"errors": {"email": ["has already been taken"]}}

# Two spellings of one name. A sigma at the end of a word has another lowercase letter, the
# lowercase of the dotted I is two characters, and an accent can be a separate character.
SAME_NAMES = [
    pytest.param("alice", "ALICE", id="ascii"),
    pytest.param("ÄRGER", "ärger", id="umlaut"),
    pytest.param("ΣΊΣΥΦΟΣ", "σίσυφος", id="sigma"),
    pytest.param("Straße", "STRASSE", id="sharp s"),
    pytest.param("İzmir", "i̇zmir", id="dotted i"),
    pytest.param("Ж", "ж", id="cyrillic"),
    pytest.param("ren\N{LATIN SMALL LETTER E WITH ACUTE}", "rene\u0301", id="composed"),
    pytest.param("REN\N{LATIN CAPITAL LETTER E WITH ACUTE}", "rene\u0301", id="composed capital"),
    # Alpha with two marks, which may be in either order.
    pytest.param("\u1f80", "\u03b1\u0345\u0313", id="marks in another order"),
    pytest.param("alice", "\uff41\uff4c\uff49\uff43\uff45", id="fullwidth"),
    pytest.param("alice", "\uff21\uff2c\uff29\uff23\uff25", id="fullwidth capitals"),
    pytest.param("alice", "\U0001d5ba\U0001d5c5\U0001d5c2\U0001d5bc\U0001d5be", id="mathematical"),
    pytest.param("fiona", "\ufb01ona", id="ligature"),
    pytest.param("\u30ac", "\uff76\uff9e", id="halfwidth katakana"),
]
NOT_ALLOWED = (
    "must be letters, digits and . _ + -, with at least one letter or digit, "
    "and no invisible characters"
)
# Characters with the Unicode property Default_Ignorable. Some of them have the category "letter".
INVISIBLE = [
    "\u3164",  # a Hangul filler: a letter
    "\u115f\u1160",
    "\uffa0",
    "janet\u034f",  # a joiner: a mark
    "janet\ufe0f",  # a variation selector
    "janet\U000e0100",
    "ja\u180bnet",
    "ja\u17b4net",
    "ja\u00adnet",
    "ja\u200dnet",
    "\u202ejanet",
    "ja\ufeffnet",
]
LONGEST_EMAIL = f"{'a' * 64}@{'.'.join(['d' * 45] * 4)}.world"  # 254 characters


def register(client: ApiClient, **fields: Any) -> Any:
    user = {"username": "alice", "email": "alice@example.com", "password": PASSWORD} | fields
    return client.post("/api/users", {"user": user})


@pytest.mark.django_db
def test_it_creates_a_user(api: Api) -> None:
    response = register(api())

    assert response.status_code == 201
    assert response.headers["Content-Type"].startswith("application/json")
    token = response.json()["user"]["token"]
    assert response.json() == {
        "user": {
            "email": "alice@example.com",
            "token": token,
            "username": "alice",
            "bio": None,
            "image": None,
        }
    }
    assert User.objects.get().username == "alice"


@pytest.mark.django_db
def test_the_token_and_the_password_are_valid(api: Api) -> None:
    token = register(api()).json()["user"]["token"]

    shown = api(headers={"Authorization": f"Token {token}"}).get("/api/user")
    assert shown.json()["user"]["username"] == "alice"
    credentials = {"user": {"email": "alice@example.com", "password": PASSWORD}}
    assert api().post("/api/users/login", credentials).status_code == 200


@pytest.mark.django_db
def test_it_does_not_store_the_password(api: Api) -> None:
    register(api())

    assert PASSWORD not in User.objects.get().password


@pytest.mark.parametrize("blank", [None, "", " ", "\t\n", "\u3000"], ids=ascii)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.django_db
def test_it_refuses_a_blank_field(api: Api, field: str, blank: str | None) -> None:
    response = register(api(), **{field: blank})

    assert response.status_code == 422
    assert response.json() == {"errors": {field: ["can't be blank"]}}
    assert not User.objects.exists()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.django_db
def test_it_refuses_a_missing_field(api: Api, field: str) -> None:
    user = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
    del user[field]

    response = api().post("/api/users", {"user": user})

    assert response.status_code == 422
    assert response.json() == {"errors": {field: ["can't be blank"]}}


@pytest.mark.parametrize("user", [{}, dict.fromkeys(FIELDS), dict.fromkeys(FIELDS, "")], ids=str)
@pytest.mark.django_db
def test_it_reports_all_invalid_fields_at_once(api: Api, user: dict[str, Any]) -> None:
    response = api().post("/api/users", {"user": user})

    assert response.status_code == 422
    assert response.json() == {"errors": {key: ["can't be blank"] for key in FIELDS}}


@pytest.mark.django_db
def test_each_invalid_field_has_its_own_key(api: Api) -> None:
    response = register(api(), username="a b", email="nowhere", password="short")

    assert response.status_code == 422
    assert response.json()["errors"].keys() == {"username", "email", "password"}


@pytest.mark.parametrize("value", [7, 1.5, True, False, ["alice"], {"name": "alice"}], ids=str)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.django_db
def test_it_refuses_a_value_that_is_not_a_string(api: Api, field: str, value: Any) -> None:
    response = register(api(), **{field: value})

    assert response.status_code == 422
    assert response.json()["errors"].keys() == {field}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.django_db
def test_it_refuses_a_nul_character(api: Api, field: str) -> None:
    value = {"username": "ali\0ce", "email": "ali\0ce@example.com", "password": "correct\0horse"}

    response = register(api(), **{field: value[field]})

    assert response.status_code == 422
    assert response.json()["errors"].keys() == {field}


@pytest.mark.parametrize(
    "username",
    [
        "john.doe",
        "a",
        "7",
        "_7_",
        "٣",
        "a+b-c_d.e",
        "日本語",
        "हिन्दी",
        "Ελληνικά",
        "a" * 64,
        "é" * 64,
        "login",
    ],
)
@pytest.mark.django_db
def test_it_accepts_letters_of_any_script(api: Api, username: str) -> None:
    response = register(api(), username=username)

    assert response.status_code == 201
    assert response.json()["user"]["username"] == username
    assert User.objects.filter(username=username).exists()


@pytest.mark.parametrize(
    "username",
    [
        "!!!",
        "...",
        "-",
        "_+_",
        "a b",
        "a\tb",
        "a\nb",
        "a\u00a0b",
        "a\u200bb",
        "a/b",
        "a@b",
        "a%b",
        "a#b",
        "😀",
        "alice😀",
        "\u0301",
        "\u0301alice",
        "alice.\u0301",
        "7\u20e3",  # a digit on a key
        "½",
        "Ⅷ",
        "\u0378",  # not assigned
        *INVISIBLE,
    ],
    ids=ascii,
)
@pytest.mark.django_db
def test_it_refuses_other_characters_in_usernames(api: Api, username: str) -> None:
    response = register(api(), username=username)

    assert response.status_code == 422
    assert response.json() == {"errors": {"username": [NOT_ALLOWED]}}


@pytest.mark.parametrize(
    "username", ["a" * 65, "é" * 65, "a" * 5000, "e\u0301" * 65, "\u0958" * 64]
)
@pytest.mark.django_db
def test_it_refuses_usernames_over_64_characters(api: Api, username: str) -> None:
    response = register(api(), username=username)

    assert response.status_code == 422
    message = "is too long (maximum is 64 characters)"
    assert response.json() == {"errors": {"username": [message]}}


@pytest.mark.parametrize(
    ("field", "typed", "shown"),
    [
        ("username", "rene\u0301", "ren\u00e9"),
        ("username", "e\u0301" * 64, "\u00e9" * 64),
        ("username", "\u212bsa", "\u00c5sa"),  # the angstrom sign
        ("username", "\uff41lice", "\uff41lice"),  # fullwidth letters stay
        ("email", "a@bu\u0308cher.example", "a@b\u00fccher.example"),
    ],
    ids=ascii,
)
@pytest.mark.django_db
def test_it_shows_names_in_nfc(api: Api, field: str, typed: str, shown: str) -> None:
    response = register(api(), **{field: typed})

    assert response.status_code == 201
    assert response.json()["user"][field] == shown
    assert User.objects.values_list(field).get() == (shown,)


@pytest.mark.parametrize("space", [" ", "\t\r\n", "\u3000"], ids=ascii)
@pytest.mark.django_db
def test_it_trims_username_and_email(api: Api, space: str) -> None:
    response = register(
        api(), username=f"{space}alice{space}", email=f"{space}alice@example.com{space}"
    )

    assert response.status_code == 201
    assert response.json()["user"]["username"] == "alice"
    assert response.json()["user"]["email"] == "alice@example.com"


@pytest.mark.django_db
def test_it_checks_lengths_after_trimming(api: Api) -> None:
    response = register(api(), username=f"  {'a' * 64}  ", email=f"  {LONGEST_EMAIL}  ")

    assert response.status_code == 201


@pytest.mark.django_db
def test_it_does_not_trim_the_password(api: Api) -> None:
    register(api(), password="  correct horse ")

    def log_in(password: str) -> int:
        user = {"email": "alice@example.com", "password": password}
        status: int = api().post("/api/users/login", {"user": user}).status_code
        return status

    assert log_in("  correct horse ") == 200
    assert log_in("correct horse") == 401


@pytest.mark.parametrize(
    "email",
    [
        "Alice.Smith@EXAMPLE.Com",
        "a+b_c-d@example.co.uk",
        "alice@bücher.example",
        "o'hara@example.com",
        LONGEST_EMAIL,
    ],
)
@pytest.mark.django_db
def test_it_shows_an_email_as_typed(api: Api, email: str) -> None:
    response = register(api(), email=email)

    assert response.status_code == 201
    assert response.json()["user"]["email"] == email


@pytest.mark.parametrize(
    "email",
    [
        "nowhere",
        "@example.com",
        "alice@",
        "alice@nowhere",
        "al ice@example.com",
        "alice@exam ple.com",
        "alice@bob@example.com",
        "alice@example..com",
        "alice@example.com\nbob@example.com",
        f"x{LONGEST_EMAIL}",
        f"{'a' * 5000}@example.com",
    ],
    ids=lambda email: ascii(email[:40]),
)
@pytest.mark.django_db
def test_it_refuses_an_invalid_email(api: Api, email: str) -> None:
    response = register(api(), email=email)

    assert response.status_code == 422
    assert response.json()["errors"].keys() == {"email"}


@pytest.mark.parametrize(
    "password",
    ["a", "1234567", "жизнь12", "e\u0301" * 7, "\u1112\u1161\u11ab" * 7],
    ids=ascii,
)
@pytest.mark.django_db
def test_it_refuses_a_password_under_8_characters(api: Api, password: str) -> None:
    response = register(api(), password=password)

    assert response.status_code == 422
    assert response.json() == {"errors": {"password": ["is too short (minimum is 8 characters)"]}}


@pytest.mark.parametrize("password", ["x" * 129, "x" * 5000, "\ufb03" * 43], ids=ascii)
@pytest.mark.django_db
def test_it_refuses_a_password_over_128_characters(api: Api, password: str) -> None:
    response = register(api(), password=password)

    assert response.status_code == 422
    message = "is too long (maximum is 128 characters)"
    assert response.json() == {"errors": {"password": [message]}}


@pytest.mark.parametrize(
    "password",
    [
        "password123",
        "bonjour1",
        "12345678",
        "alicealice",
        "жизнь123",
        "x" * 128,
        "\ufb03 12345",  # a ligature of three letters
        "e\u0301" * 128,
    ],
    ids=ascii,
)
@pytest.mark.django_db
def test_it_accepts_every_password_of_8_to_128_characters(api: Api, password: str) -> None:
    assert register(api(), username="alicealice", password=password).status_code == 201


def test_it_refuses_a_username_that_is_taken(api: Api, alice: User) -> None:
    response = register(api(), email="other@example.com")

    assert response.status_code == 409
    assert response.json() == USERNAME_TAKEN
    assert User.objects.get() == alice


def test_it_refuses_an_email_that_is_taken(api: Api, alice: User) -> None:
    response = register(api(), username="other")

    assert response.status_code == 409
    assert response.json() == EMAIL_TAKEN
    assert User.objects.get() == alice


def test_a_name_with_white_space_around_it_is_taken_too(api: Api, alice: User) -> None:
    by_name = register(api(), username=" alice ", email="other@example.com")
    by_email = register(api(), username="other", email=" alice@example.com ")

    assert (by_name.status_code, by_name.json()) == (409, USERNAME_TAKEN)
    assert (by_email.status_code, by_email.json()) == (409, EMAIL_TAKEN)


@pytest.mark.parametrize(("one", "other"), SAME_NAMES)
@pytest.mark.django_db
def test_a_username_is_taken_in_every_case_and_normalization_form(
    api: Api, one: str, other: str
) -> None:
    for first, second in ((one, other), (other, one)):
        user = make_user(first, email="first@example.com")

        response = register(api(), username=second, email="second@example.com")

        assert (response.status_code, response.json()) == (409, USERNAME_TAKEN)
        user.delete()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("alice@example.com", "ALICE@example.com", id="name"),
        pytest.param("alice@example.com", "alice@EXAMPLE.COM", id="domain"),
        pytest.param("alice@ÄRGER.example", "alice@ärger.example", id="umlaut"),
        pytest.param("alice@ΣΊΣΥΦΟΣ.example", "alice@σίσυφος.example", id="sigma"),
        pytest.param("sam@example.com", "\N{LATIN SMALL LETTER LONG S}am@example.com", id="long s"),
        pytest.param("kim@example.com", "\N{KELVIN SIGN}im@example.com", id="kelvin"),
        pytest.param("a@example.com", "a@\uff45xample.com", id="fullwidth"),
        pytest.param("a@example.com", "a@exam\u00adple.com", id="soft hyphen"),
    ],
)
@pytest.mark.django_db
def test_an_email_is_taken_in_every_case(api: Api, one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        user = make_user("first", email=first)

        response = register(api(), username="second", email=second)

        assert (response.status_code, response.json()) == (409, EMAIL_TAKEN)
        user.delete()


@pytest.mark.parametrize(
    ("one", "other"), [("alice", "älice"), ("a.b", "a_b"), ("o", "\N{CYRILLIC SMALL LETTER O}")]
)
@pytest.mark.django_db
def test_names_that_only_look_alike_are_different(api: Api, one: str, other: str) -> None:
    make_user(one, email="first@example.com")

    assert register(api(), username=other, email="second@example.com").status_code == 201


def test_a_refused_registration_reserves_no_name(api: Api, alice: User) -> None:
    register(api(), email="other@example.com")

    response = register(api(), username="other", email="other@example.com")

    assert response.status_code == 201


@pytest.mark.django_db
def test_it_ignores_unknown_keys(api: Api) -> None:
    response = register(
        api(), id=7, is_staff=True, is_superuser=True, is_active=False, token="x", following=True
    )

    assert response.status_code == 201
    assert response.json()["user"].keys() == {"email", "token", "username", "bio", "image"}
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active) == (False, False, True)


@pytest.mark.django_db
def test_a_new_user_has_no_bio_and_no_image(api: Api) -> None:
    response = register(api(), bio="I write", image="https://example.com/me.png")

    assert response.status_code == 201
    assert response.json()["user"]["bio"] is None
    assert response.json()["user"]["image"] is None


@pytest.mark.parametrize("key", ["a key", "", "x" * 256, "né"])
@pytest.mark.django_db
def test_it_ignores_an_idempotency_key(api: Api, key: str) -> None:
    client = api(headers={"Idempotency-Key": key})

    assert register(client).status_code == 201
    assert register(client).status_code == 409
    assert register(client, username="bob", email="bob@example.com").status_code == 201


@pytest.mark.django_db
def test_it_sets_no_cookie(api: Api) -> None:
    assert not register(api()).cookies


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.django_db
def test_a_text_that_is_slow_to_normalize_is_refused_within_a_second(api: Api, field: str) -> None:
    slow = "a" + "\u0315" * 100_000 + "\u0300" * 100_000
    started = time.process_time()

    response = register(api(), **{field: slow})

    assert response.status_code == 422
    assert time.process_time() - started < 1


@pytest.mark.django_db
def test_36_users_may_register_within_seconds(api: Api) -> None:
    client = api()

    statuses = {
        register(client, username=f"user{n}", email=f"user{n}@example.com").status_code
        for n in range(36)
    }

    assert statuses == {201}
