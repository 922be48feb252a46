"""The keys of counters. They contain hashes instead of e-mails and IP addresses."""

from django.utils.crypto import salted_hmac

from users.limits.client_addresses import network_of
from users.names import MAX_INPUT_LENGTH, fold


def hashed(text: str) -> str:
    """128 bits of an HMAC with SECRET_KEY, as 32 hexadecimal digits."""
    return salted_hmac("users.limits", text, algorithm="sha256").hexdigest()[:32]


def account_name(email: str) -> str:
    """The e-mail folded: all spellings of one e-mail share a counter, even if no account has it."""
    # No account has a longer e-mail. Folding a long text can take very long.
    return fold(email[:MAX_INPUT_LENGTH])


def account_key(email: str) -> str:
    return hashed(f"account {account_name(email)}")


def address_key(address: str) -> str:
    return hashed(f"address {network_of(address)}")
