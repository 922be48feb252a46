"""Revocation of tokens and sessions, by a new password or by "Log out everywhere" in the admin.

Each user has a generation number. Tokens and sessions contain the number that the user had when
they were issued, and are valid while the user still has it. Two alternatives are worse. A time
instead of the number, before which all tokens are invalid, would depend on the clocks of several
servers, and could not order two events of the same second. A hash of the password instead of the
number would end all sessions when a login rehashes the password.
"""

from hashlib import sha256
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.db.models import F
from django.utils.crypto import salted_hmac

COLUMNS = ("token_generation", "kept_token_sha256")


def digest(token: str) -> bytes:
    """The SHA-256 of a token, which the database stores instead of the token."""
    return sha256(token.encode()).digest()


def end_tokens_of(users: models.QuerySet[Any]) -> int:
    """End all tokens and sessions of the users. Returns the number of users."""
    return users.update(token_generation=F("token_generation") + 1, kept_token_sha256=None)


class Revocable(AbstractBaseUser):
    """A user whose tokens and sessions can be ended. Plain SQL that sets a password must also
    increase `token_generation`."""

    token_generation = models.IntegerField(default=0, db_default=0, editable=False)
    # The one token of an earlier generation that is still valid.
    kept_token_sha256 = models.BinaryField(max_length=32, null=True)

    class Meta:
        abstract = True

    def end_tokens(self, *, keep: str | None = None) -> None:
        """End all tokens and sessions except the token `keep`, with the next `save()`."""
        if not self._state.adding:
            # The database adds, because another process may add at the same time.
            self.token_generation = F("token_generation") + 1
            self.kept_token_sha256 = digest(keep) if keep else None

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(raw_password)
        self.end_tokens()

    def set_unusable_password(self) -> None:
        super().set_unusable_password()
        self.end_tokens()

    def save(self, **options: Any) -> None:
        """Writes the generation only to increase it. An instance that was read before another
        process increased it would otherwise make ended tokens valid again."""
        fields = options.get("update_fields")
        if isinstance(self.token_generation, models.expressions.Combinable):
            if fields is not None:
                options["update_fields"] = {*fields, *COLUMNS}
        elif fields is not None:
            options["update_fields"] = {*fields} - {*COLUMNS}
        elif not self._state.adding:
            # Django does not write fields that are not loaded.
            for column in COLUMNS:
                self.__dict__.pop(column, None)
        super().save(**options)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """The hash of the generation. Django's hash of the password would end sessions at each
        rehash."""
        generation = str(self.token_generation)
        return salted_hmac(__name__, generation, secret=secret, algorithm="sha256").hexdigest()
