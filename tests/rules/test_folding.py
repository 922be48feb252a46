import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import login
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.http import HttpRequest
from django.test import Client

from profiles.models import Profile
from tests.builders import make_user
from users.models import User
from users.names import MAX_INPUT_LENGTH, fold, nfc


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("John", "JOHN"),
        ("ÄRGER", "ärger"),
        ("Straße", "STRASSE"),
        ("σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("Ånge", "A\u030ange"),  # composed and decomposed
        ("\u0418\u0412\u0410\u041d", "\u0438\u0432\u0430\u043d"),
        ("\u1fb3", "\u0391\u0399"),  # alpha with iota subscript, and alpha followed by iota
        ("\uff41\uff4c\uff49\uff43\uff45", "alice"),  # fullwidth
        ("\U0001d5ba\U0001d5c5\U0001d5c2\U0001d5bc\U0001d5be", "ALICE"),  # mathematical sans-serif
        ("\U0001d400", "a"),  # NFKD produces a capital letter
        ("\ufb01ona", "FIONA"),  # a ligature
        ("\u2460", "1"),
        ("\uff76\uff9e", "\u30ac"),  # halfwidth katakana
        ("janet\u034f", "janet"),  # invisible characters
        ("a\u034f\u0301", "á"),
        ("\u3164", "\uffa0"),
    ],
)
def test_case_and_compatible_forms_fold_to_one_text(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("john", "johm"), ("e", "é"), ("日本", "日木"), ("o", "\N{CYRILLIC SMALL LETTER O}")],
)
def test_different_letters_fold_to_different_texts(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_folding_is_idempotent_and_the_same_for_every_normalization_form() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        folded = fold(character)
        if folded == character:
            continue
        assert fold(folded) == folded, ascii(character)
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            assert fold(unicodedata.normalize(form, character)) == folded, ascii(character)


def test_normalization_keeps_at_least_a_quarter_of_the_length() -> None:
    longest = max(len(unicodedata.normalize("NFD", chr(code))) for code in range(sys.maxunicode))

    assert longest == 4
    assert len(nfc("\u03b1\u0313\u0300\u0345" * (MAX_INPUT_LENGTH // 4))) == MAX_INPUT_LENGTH // 4


def test_bulk_create_and_save_write_the_folded_columns(db: None) -> None:
    alice, bob = User.objects.bulk_create(
        [User(username="Alice", email="A@example.com"), User(username="Bob", email="B@example.com")]
    )
    assert (alice.username_folded, alice.email_folded) == ("alice", "a@example.com")

    bob.username = "Robert"
    bob.save(update_fields=["username"])
    bob.refresh_from_db()
    assert bob.username_folded == "robert"


@pytest.mark.parametrize("field", ["username", "email"])
def test_names_are_normalized_in_writes_and_lookups(db: None, field: str) -> None:
    user = make_user("alice")
    typed, stored = {
        "username": ("rene\u0301", "ren\u00e9"),
        "email": ("a@bu\u0308cher.example", "a@b\u00fccher.example"),
    }[field]

    setattr(user, field, typed)
    user.save()

    assert getattr(user, field) == stored
    for lookup in (typed, stored):
        assert User.objects.filter(**{field: lookup}).values_list(field).get() == (stored,)


def stored_names(user: User) -> tuple[str, ...]:
    columns = ("username", "username_folded", "email", "email_folded")
    names: tuple[str, ...] = User.objects.values_list(*columns).get(pk=user.pk)
    return names


def log_in(user: User) -> None:
    request = HttpRequest()
    request.session = Client().session
    login(request, user)


# Each gets a user who was read before another request changed the names of the row.
SAVES_OF_OTHER_FIELDS: dict[str, Callable[[User], Any]] = {
    "a bio": lambda user: user.save(update_fields=["bio"]),
    "a login": log_in,
    "a password": lambda user: user.save(update_fields={"password"}),
    "a folded column alone": lambda user: user.save(update_fields=["email_folded", "bio"]),
    "a bulk update": lambda user: User.objects.bulk_update([user], ["bio"]),
    "update_or_create": lambda user: User.objects.update_or_create(
        pk=user.pk, defaults={"bio": "new"}
    ),
    "an insert with conflicts": lambda user: User.objects.bulk_create(
        [user], update_conflicts=True, update_fields=["bio"], unique_fields=["id"]
    ),
}


@pytest.mark.parametrize("save", SAVES_OF_OTHER_FIELDS.values(), ids=SAVES_OF_OTHER_FIELDS)
def test_a_save_of_other_fields_does_not_write_the_names(
    alice: User, save: Callable[[User], Any]
) -> None:
    old = User.objects.get(pk=alice.pk)
    alice.username, alice.email = "Newer", "Newer@example.com"
    alice.save()

    save(old)

    assert stored_names(alice) == ("Newer", "newer", "Newer@example.com", "newer@example.com")


@pytest.mark.parametrize(
    "read",
    [
        lambda users: users.only("email"),
        lambda users: users.defer("email_folded"),
        lambda users: users.only("pk"),
        lambda users: users.defer("email"),
    ],
)
def test_a_save_of_a_deferred_name_writes_both_columns_or_neither(
    alice: User, read: Callable[[Any], Any]
) -> None:
    old = read(User.objects).get(pk=alice.pk)
    make_newer = User.objects.get(pk=alice.pk)
    make_newer.email = "Newer@example.com"
    make_newer.save()
    loaded = "email" not in old.get_deferred_fields()

    old.bio = "Something"
    old.save()

    _, _, email, folded = stored_names(alice)
    assert folded == fold(email)
    assert email == ("alice@example.com" if loaded else "Newer@example.com")


@pytest.mark.parametrize(
    "write",
    [
        lambda users: users.update(email="new@example.com"),
        lambda users: users.update(email=Concat(Value("x"), F("email"))),
        lambda users: users.filter(username="alice").update(username="new"),
        lambda users: users.update(email_folded="new@example.com"),
        lambda users: users.update(email="New@example.com", email_folded="New@example.com"),
        lambda users: users.bulk_update(users.all(), ["email"]),
        lambda users: users.bulk_update(users.all(), ["username_folded", "bio"]),
        lambda users: users.bulk_create(
            [User(username="new", email="alice@example.com")],
            update_conflicts=True,
            update_fields=["username"],
            unique_fields=["email_folded"],
        ),
        lambda users: users.bulk_create(
            [User(username="new", email="alice@example.com")],
            *(None, False, True, ["username"], ["email_folded"]),
        ),
    ],
)
@pytest.mark.parametrize("model", [User, Profile])
def test_it_refuses_to_write_a_name_without_its_folded_column(
    alice: User, write: Callable[[Any], Any], model: type[User]
) -> None:
    before = stored_names(alice)

    with pytest.raises(ValueError, match="_folded"):
        write(model.objects)

    assert stored_names(alice) == before


def test_it_allows_both_columns_together(alice: User) -> None:
    User.objects.update(email="New@example.com", email_folded="new@example.com")
    assert stored_names(alice)[2:] == ("New@example.com", "new@example.com")

    alice.username = "Rene\u0301"
    User.objects.bulk_update([alice], ["username", "username_folded"])
    assert stored_names(alice)[:2] == ("Ren\u00e9", "ren\u00e9")

    User.objects.bulk_create(
        [User(username="Dora", email="NEW@example.com")],
        update_conflicts=True,
        update_fields=["username", "username_folded"],
        unique_fields=["email_folded"],
    )
    assert stored_names(alice)[:2] == ("Dora", "dora")


def test_update_or_create_writes_a_name_with_its_folded_column(alice: User) -> None:
    User.objects.update_or_create(pk=alice.pk, defaults={"email": "New@example.com"})

    assert stored_names(alice)[2:] == ("New@example.com", "new@example.com")
