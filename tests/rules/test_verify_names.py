"""manage.py verify_names finds and repairs names that plain SQL or an old version has written."""

from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.builders import PASSWORD, make_user
from tests.client import ApiClient
from tests.races import at_once
from users.models import User
from users.name_repair import SHOWN
from users.names import fold, nfc

RIGHT = "Every username and e-mail is right.\n"


def verify_names(*options: str) -> str:
    output = StringIO()
    call_command("verify_names", *options, stdout=output)
    return output.getvalue()


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def log_in(email: str) -> int:
    credentials = {"user": {"email": email, "password": PASSWORD}}
    status: int = ApiClient().post("/api/users/login", credentials).status_code
    return status


def all_are_correct() -> bool:
    return all(
        (user.username, user.username_folded) == (nfc(user.username), fold(user.username))
        and (user.email, user.email_folded) == (nfc(user.email), fold(user.email))
        for user in User.objects.all()
    )


def test_it_reports_that_all_names_are_right(alice: User, bob: User) -> None:
    assert verify_names() == verify_names("--repair") == RIGHT


def test_it_finds_and_repairs_names_that_plain_sql_has_written(alice: User, bob: User) -> None:
    sql("UPDATE users_user SET email = 'Robert@example.com' WHERE id = %s", bob.pk)
    sql("UPDATE users_user SET username = %s WHERE id = %s", "Rene\u0301", alice.pk)
    assert log_in("robert@example.com") == 401

    output = StringIO()
    with pytest.raises(CommandError, match="Run this command with --repair"):
        call_command("verify_names", stdout=output)
    assert output.getvalue() == (
        f"username: 1 wrong, such as that of user {alice.pk}.\n"
        f"email: 1 wrong, such as that of user {bob.pk}.\n"
    )

    assert verify_names("--repair") == "2 corrected.\n"
    assert verify_names() == RIGHT
    assert log_in("robert@example.com") == 200
    assert User.objects.get(username="Ren\u00e9") == alice


def test_it_writes_only_rows_that_are_wrong(alice: User, bob: User) -> None:
    def versions() -> dict[int, str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, ctid::text FROM users_user")
            return dict(cursor.fetchall())

    before = versions()
    sql("UPDATE users_user SET email_folded = 'x' WHERE id = %s", alice.pk)
    verify_names("--repair")

    after = versions()
    assert after[bob.pk] == before[bob.pk]
    assert after[alice.pk] != before[alice.pk]


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("batch", [1, 2, 5000])
@pytest.mark.parametrize("shift", [1, -1])
def test_it_repairs_names_that_users_have_swapped_in_a_circle(
    db: None, monkeypatch: pytest.MonkeyPatch, size: int, batch: int, shift: int
) -> None:
    monkeypatch.setattr("users.name_repair.BATCH", batch)
    users = [make_user(f"user{number}") for number in range(size)]
    sql("UPDATE users_user SET username = 'old-' || username, email = 'old-' || email")
    for number, user in enumerate(users):
        other = users[(number + shift) % size]
        values = (other.username, other.email, user.pk)
        sql("UPDATE users_user SET username = %s, email = %s WHERE id = %s", *values)

    verify_names("--repair")

    assert all_are_correct()
    for number, user in enumerate(users):
        email = users[(number + shift) % size].email
        assert User.objects.get_by_natural_key(email) == user


@pytest.mark.parametrize("batch", [1, 5000])
def test_it_lists_accounts_with_the_same_name_and_repairs_the_others(
    alice: User, bob: User, charlie: User, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("users.name_repair.BATCH", batch)
    twin = make_user("twin")
    # Version 0.1 stored the two names as different ones.
    sql(
        "UPDATE users_user SET username = %s, username_folded = %s WHERE id = %s",
        *("alice\u034f", "alice\u034f", twin.pk),
    )
    sql("UPDATE users_user SET email = 'BOB@example.com' WHERE id = %s", charlie.pk)
    sql("UPDATE users_user SET username_folded = 'x' WHERE id = %s", bob.pk)

    for _ in range(2):
        with pytest.raises(CommandError) as error:
            verify_names("--repair")

        lines = str(error.value).splitlines()
        assert f"  username: user {alice.pk} ('alice') and user {twin.pk} ('alice\\u034f')" in lines
        assert f"  email: user {bob.pk} ('bob') and user {charlie.pk} ('charlie')" in lines
        assert "example.com" not in str(error.value)
    assert User.objects.get(pk=bob.pk).username_folded == "bob"
    # The account works meanwhile.
    assert log_in("twin@example.com") == 200

    sql("UPDATE users_user SET username = 'janet' WHERE id = %s", twin.pk)
    sql("UPDATE users_user SET email = 'charles@example.com' WHERE id = %s", charlie.pk)
    assert verify_names("--repair") == "2 corrected.\n"
    assert all_are_correct()


def test_two_wrong_rows_with_the_same_name_are_a_conflict(alice: User, bob: User) -> None:
    names = ("\uff41lex", "al\uff45x")
    for user, name in zip((alice, bob), names, strict=True):
        sql("UPDATE users_user SET username = %s WHERE id = %s", name, user.pk)

    with pytest.raises(CommandError, match=f"user {alice.pk} .* and user {bob.pk}"):
        verify_names("--repair")

    assert User.objects.get(pk=alice.pk).username_folded == "alex"
    assert User.objects.get(pk=bob.pk).username_folded == "bob"


def test_a_name_in_two_normalization_forms_is_a_conflict(alice: User, bob: User) -> None:
    sql("UPDATE users_user SET username = 'ren\u00e9', username_folded = 'x' WHERE id = %s", bob.pk)
    sql(
        "UPDATE users_user SET username = %s, username_folded = %s WHERE id = %s",
        *("rene\u0301", "ren\u00e9", alice.pk),
    )

    with pytest.raises(CommandError, match=f"user {alice.pk} .* and user {bob.pk}"):
        verify_names("--repair")


def test_it_lists_a_bounded_number_of_conflicts(db: None) -> None:
    for number in range(SHOWN + 5):
        make_user(f"user{number}")
        twin = f"user{number}\u034f"
        sql(
            "UPDATE users_user SET username = %s, username_folded = %s WHERE id = %s",
            *(twin, twin, make_user(f"twin{number}").pk),
        )

    with pytest.raises(CommandError) as error:
        verify_names("--repair")

    lines = [line for line in str(error.value).splitlines() if line.startswith("  username: ")]
    assert len(lines) == SHOWN + 1
    assert lines[-1] == "  username: 5 more pairs"


@pytest.mark.django_db(transaction=True)
def test_it_repairs_while_others_write(alice: User) -> None:
    """The new e-mail and its folded column are both kept, in either order."""
    for round_ in range(30):
        sql("UPDATE users_user SET email_folded = 'wrong'")
        new = f"Alice{round_}@example.com"
        user = User.objects.get(pk=alice.pk)
        user.email = new

        at_once([partial(user.save, update_fields=["email"]), partial(verify_names, "--repair")])

        user = User.objects.get(pk=alice.pk)
        assert (user.email, user.email_folded) == (new, fold(new))


def repair() -> str | None:
    """The error message of the repair."""
    try:
        verify_names("--repair")
    except CommandError as error:
        return str(error)
    return None


@pytest.mark.django_db(transaction=True)
def test_a_name_that_is_taken_during_the_repair_is_a_conflict(alice: User) -> None:
    for round_ in range(30):
        name = f"wanted{round_}"
        sql("UPDATE users_user SET username = %s WHERE id = %s", name.title(), alice.pk)
        user = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}

        registration, conflict = at_once(
            [partial(ApiClient().post, "/api/users", {"user": user}), repair]
        )

        assert registration.status_code == (201 if conflict else 409)
        if conflict:
            assert "'Wanted" in conflict
            sql("UPDATE users_user SET username = 'alice' WHERE id = %s", alice.pk)
            verify_names("--repair")
        assert all_are_correct()
