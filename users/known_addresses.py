"""The client addresses (IP addresses) that an account was logged in from."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, models
from django.utils import timezone

from database.errors import is_foreign_key_violation

KEPT_FOR = timedelta(days=90)
KEPT_FOR_EACH_USER = 20
# The precision of `last_used_at`. Most logins then only read.
PRECISION = timedelta(days=1)


class KnownAddressManager(models.Manager["KnownAddress"]):
    def is_known(self, email_folded: str, address_hmac: str) -> bool:
        """Whether the account with this e-mail was logged in from this address."""
        return self.filter(
            user__email_folded=email_folded,
            address_hmac=address_hmac,
            last_used_at__gt=timezone.now() - KEPT_FOR,
        ).exists()

    def remember(self, user: Any, address_hmac: str) -> None:
        """Runs one query, or three if the address is new or was last used over a day ago."""
        now = timezone.now()
        mine = self.filter(user=user)
        if mine.filter(address_hmac=address_hmac, last_used_at__gt=now - PRECISION).exists():
            return
        try:
            self.bulk_create(
                [KnownAddress(user=user, address_hmac=address_hmac, last_used_at=now)],
                update_conflicts=True,
                unique_fields=["user", "address_hmac"],
                update_fields=["last_used_at"],
            )
        except IntegrityError as error:
            # The account was deleted after its password was checked.
            if not is_foreign_key_violation(error):
                raise
        newest = mine.order_by("-last_used_at")[:KEPT_FOR_EACH_USER].values("pk")
        mine.exclude(pk__in=newest, last_used_at__gt=now - KEPT_FOR).delete()


class KnownAddress(models.Model):
    """A client address that an account was logged in from.

    The limit on an account's failed logins from all addresses does not apply to it: an attacker
    cannot lock the owner out. A table keeps it, because counters do not survive restarts.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DB_CASCADE, related_name="+", db_index=False
    )
    # From `users.limits.keys.address_key`. The address cannot be read from it.
    address_hmac = models.CharField(max_length=32)
    last_used_at = models.DateTimeField()

    objects = KnownAddressManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "address_hmac"], name="known_address_once"),
        ]
        verbose_name_plural = "known addresses"

    def __str__(self) -> str:
        return f"{self.address_hmac} of user {self.user_id}"
