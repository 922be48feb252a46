"""manage.py unlock deletes the counters of failed logins."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import RequestFactory

from users.limits import logins
from users.limits.counters import Counters, counters
from users.limits.file_store import FileStore, default_folder
from users.limits.keys import account_key, address_key

ALICE = "alice@example.com"
FILE = default_folder() / "counters.sqlite3"


def fail(email: str, address: str) -> None:
    account, address = account_key(email), address_key(address)
    limits = {f"login:{account}:{address}": 1, f"login:{account}:all": 9, f"login:all:{address}": 9}
    assert not counters.count_unless_full(limits, logins.WINDOW)


def is_locked(email: str, address: str) -> bool:
    key = f"login:{account_key(email)}:{address_key(address)}"
    return bool(counters.full({key: 1}, logins.WINDOW))


def unlock(*arguments: str) -> str:
    output = StringIO()
    call_command("unlock", *arguments, stdout=output)
    return output.getvalue()


def test_it_unlocks_an_account_from_all_addresses() -> None:
    for address in ("192.0.2.1", "2001:db8::1"):
        fail("alice@example.com", address)
        fail("bob@example.com", address)

    assert unlock("--account=Alice@Example.com") == "The account Alice@Example.com is unlocked.\n"

    for address in ("192.0.2.1", "2001:db8::1"):
        assert not is_locked("alice@example.com", address)
        assert is_locked("bob@example.com", address)
    said = unlock("--account", "alice@example.com")
    assert said == f"The account alice@example.com has no failed logins in {FILE}.\n"


def test_it_unlocks_an_address_for_all_accounts() -> None:
    for address in ("192.0.2.1", "2001:db8::1"):
        fail("alice@example.com", address)
        fail("bob@example.com", address)

    assert unlock("--address=2001:db8::2") == "The address 2001:db8::/64 is unlocked.\n"

    for email in ("alice@example.com", "bob@example.com"):
        assert not is_locked(email, "2001:db8::1")
        assert is_locked(email, "192.0.2.1")
    said = unlock("--address=192.0.2.9")
    assert said == f"The address 192.0.2.9 has no failed logins in {FILE}.\n"


@pytest.mark.parametrize(
    ("limit", "option"),
    [
        ("MAX_FOR_ACCOUNT_FROM_ADDRESS", f"--account={ALICE}"),
        ("MAX_FOR_ACCOUNT", f"--account={ALICE}"),
        ("MAX_FOR_ACCOUNT_FROM_ADDRESS", "--address=192.0.2.1"),
        ("MAX_FROM_ADDRESS", "--address=192.0.2.1"),
    ],
)
def test_a_new_lock_after_an_unlock_is_logged(
    db: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    option: str,
) -> None:
    monkeypatch.setattr(logins, limit, 1)
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.1")

    for _ in range(2):
        caplog.clear()
        logins.LoginAttempt(request, ALICE).failed()
        with pytest.raises(logins.LoginRefused):
            logins.LoginAttempt(request, ALICE).check()
        assert len(caplog.records) == 1
        unlock(option)


def test_it_names_the_file_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path / "elsewhere")
    monkeypatch.setattr(logins, "counters", Counters(store))

    assert unlock(f"--account={ALICE}") == (
        f"The account {ALICE} has no failed logins in {store.path} (this file does not exist).\n"
    )
    assert not store.folder.exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["--account=a@b.c", "--address=192.0.2.1"]],
)
def test_it_needs_an_account_or_an_address(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="address"):
        unlock(*arguments)


@pytest.mark.parametrize("text", ["192.0.2", "", "localhost", "192.0.2.1:80"])
def test_it_refuses_a_text_that_is_not_an_ip_address(text: str) -> None:
    with pytest.raises(CommandError, match=f"'{text}' is not an IPv4 or IPv6 address"):
        unlock(f"--address={text}")
