"""What ends a user's tokens and sessions: a new password, or an editor's button.

Each user has a generation, a number. Each token and each session carries the generation that its
user had when it was issued, and is good while the user still has it. Two alternatives were worse.
With a time before which tokens are bad, the clocks of two servers may differ, and a token that was
issued in the same second counts as old or as new by chance. With a hash of the password, a log-in
that hashes the password anew ends all sessions.
"""

from hashlib import sha256
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.db.models import F
from django.utils.crypto import salted_hmac

COLUMNS = ("token_generation", "kept_token_sha256")


def digest(token: str) -> bytes:
    """What is stored of a token: its SHA-256."""
    return sha256(token.encode()).digest()


def end_tokens_of(users: models.QuerySet[Any]) -> int:
    """End all tokens and sessions of the users, and count the users."""
    return users.update(token_generation=F("token_generation") + 1, kept_token_sha256=None)


class Revocable(AbstractBaseUser):
    """A user whose tokens and sessions can be ended. Plain SQL that sets a password must raise
    `token_generation` too."""

    token_generation = models.IntegerField(default=0, db_default=0, editable=False)
    # The one token of an earlier generation that is still good.
    kept_token_sha256 = models.BinaryField(max_length=32, null=True)

    class Meta:
        abstract = True

    def end_tokens(self, *, keep: str | None = None) -> None:
        """End all tokens and sessions, but for the token `keep`, with the next `save()`."""
        if not self._state.adding:
            # The database adds: another process may do the same.
            self.token_generation = F("token_generation") + 1
            self.kept_token_sha256 = digest(keep) if keep else None

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(raw_password)
        self.end_tokens()

    def set_unusable_password(self) -> None:
        super().set_unusable_password()
        self.end_tokens()

    def save(self, **options: Any) -> None:
        """Writes the generation only to raise it: a row that was read before another process
        raised it must not bring ended tokens back."""
        fields = options.get("update_fields")
        if isinstance(self.token_generation, models.expressions.Combinable):
            if fields is not None:
                options["update_fields"] = {*fields, *COLUMNS}
        elif fields is not None:
            options["update_fields"] = {*fields} - {*COLUMNS}
        elif not self._state.adding:
            # Django writes only the fields that are loaded.
            for column in COLUMNS:
                self.__dict__.pop(column, None)
        super().save(**options)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Of the generation. Django's own is of the password: a rehash would end sessions."""
        generation = str(self.token_generation)
        return salted_hmac(__name__, generation, secret=secret, algorithm="sha256").hexdigest()
