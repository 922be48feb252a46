import pytest

from users.models import User, fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("John", "JOHN"),
        ("ÄRGER", "ärger"),
        ("Straße", "STRASSE"),
        ("σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("Ånge", "A\u030ange"),  # composed and decomposed
        ("\u0418\u0412\u0410\u041d", "\u0438\u0432\u0430\u043d"),
        ("\u1fb3", "\u0391\u0399"),  # alpha with iota below, and beside it
    ],
)
def test_case_makes_no_difference_in_any_script(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("john", "johm"), ("e", "é"), ("日本", "日木")])
def test_other_letters_do(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_every_way_to_write_a_user_keeps_it(db: None) -> None:
    alice, bob = User.objects.bulk_create(
        [User(username="Alice", email="A@example.com"), User(username="Bob", email="B@example.com")]
    )
    assert (alice.username_folded, alice.email_folded) == ("alice", "a@example.com")

    bob.username = "Robert"
    bob.save(update_fields=["username"])
    bob.refresh_from_db()
    assert bob.username_folded == "robert"
