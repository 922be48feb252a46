"""`createsuperuser` and `changepassword` at a terminal."""

import getpass
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.builders import PASSWORD, make_user
from users.models import User


class Terminal(StringIO):
    """Gives the answers, and keeps the output."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def run(command: str, *options: str, typed: Iterable[str] = (), **more: Any) -> str:
        terminal, answers = Terminal(), iter(typed)

        def answer(prompt: str = "Password: ") -> str:
            terminal.write(prompt)
            typed_line = next(answers, None)
            assert typed_line is not None, f"asked: {terminal.getvalue()}"
            return typed_line

        monkeypatch.setattr("builtins.input", answer)
        monkeypatch.setattr(getpass, "getpass", answer)
        if command == "createsuperuser":
            more["stdin"] = terminal
        call_command(command, *options, stdout=terminal, stderr=terminal, **more)
        return terminal.getvalue()

    return run


Run = Callable[..., str]


def test_it_creates_a_superuser(db: None, run: Run) -> None:
    typed = ["root@example.com", "rene\u0301", PASSWORD, PASSWORD]

    assert "Superuser created successfully." in run("createsuperuser", typed=typed)

    root = User.objects.get(username="ren\u00e9")
    assert (root.is_superuser, root.check_password(PASSWORD)) == (True, True)


@pytest.mark.parametrize("name", ["alice", "ALICE", "\uff41lice"])
@pytest.mark.parametrize("interactive", [True, False])
def test_it_refuses_a_taken_username_with_a_sentence(
    run: Run, alice: User, monkeypatch: pytest.MonkeyPatch, name: str, interactive: bool
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    options = ["--email=root@example.com", f"--username={name}"]

    with pytest.raises(CommandError, match=r"^Error: That username is already taken\.$"):
        run("createsuperuser", *options, interactive=interactive)


def test_it_checks_a_username_from_the_environment(
    run: Run, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "root@example.com")
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "alice")

    with pytest.raises(CommandError, match="That username is already taken"):
        run("createsuperuser", "--noinput")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["Alice@Example.com", "root@example.com", "root"], "That e-mail is already taken."),
        (["root@example.com", "ALICE", "root"], "That username is already taken."),
        (["root@example.com", "\u3164", "root"], "and no invisible characters."),
    ],
)
def test_it_asks_again_for_a_refused_name_before_the_password(
    run: Run, alice: User, typed: list[str], sentence: str
) -> None:
    shown = run("createsuperuser", typed=[*typed, PASSWORD, PASSWORD])

    assert shown.index(sentence) < shown.index("Password")
    assert User.objects.get(username="root").is_superuser


@pytest.mark.parametrize(
    ("rival", "sentence"),
    [
        ({"username": "Root", "email": "a@example.com"}, "That username is already taken."),
        ({"username": "other", "email": "ROOT@example.com"}, "That e-mail is already taken."),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_it_refuses_a_name_that_is_taken_while_the_password_is_typed(
    run: Run, rival: dict[str, str], sentence: str
) -> None:
    def typed() -> Iterator[str]:
        yield from ("root@example.com", "root", PASSWORD)
        make_user(**rival)
        yield PASSWORD

    with pytest.raises(CommandError, match=sentence):
        run("createsuperuser", typed=typed())


@pytest.mark.parametrize(
    "email", ["alice@example.com", "ALICE@Example.Com", "\uff21lice@example.com"]
)
def test_it_changes_a_password_for_an_e_mail_in_any_case(run: Run, alice: User, email: str) -> None:
    new = "another horse"

    shown = run("changepassword", email, typed=["short", "short", new, "x", new, new])

    assert "This password is too short" in shown
    assert "The passwords do not match." in shown
    assert User.objects.get(pk=alice.pk).check_password(new)


def test_it_changes_only_the_password(run: Run, alice: User) -> None:
    def typed() -> Iterator[str]:
        yield "another horse"
        changed = User.objects.get(pk=alice.pk)
        changed.email, changed.bio = "New@example.com", "new"
        changed.save()
        yield "another horse"

    run("changepassword", "alice@example.com", typed=typed())

    alice.refresh_from_db()
    assert (alice.email, alice.email_folded, alice.bio) == (
        "New@example.com",
        "new@example.com",
        "new",
    )


def test_it_refuses_an_unknown_e_mail_with_a_sentence(db: None, run: Run) -> None:
    with pytest.raises(CommandError, match="There is no account with the e-mail"):
        run("changepassword", "no@example.com")


def test_it_changes_nothing_after_three_failed_attempts(run: Run, alice: User) -> None:
    with pytest.raises(CommandError, match="The password was not changed: 3 attempts failed"):
        run("changepassword", "alice@example.com", typed=["x", "y"] * 3)

    assert User.objects.get(pk=alice.pk).check_password(PASSWORD)
