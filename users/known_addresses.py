"""The addresses that an account was logged in from."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, models
from django.utils import timezone

from database.errors import refers_to_nothing

KEPT_FOR = timedelta(days=90)
KEPT_FOR_EACH_USER = 20
# So precise is the time of the last log-in: most log-ins only read.
PRECISION = timedelta(days=1)


class KnownAddressManager(models.Manager["KnownAddress"]):
    def is_known(self, email_folded: str, address_hmac: str) -> bool:
        """Whether the account with this e-mail was logged in from the address."""
        return self.filter(
            user__email_folded=email_folded,
            address_hmac=address_hmac,
            last_used_at__gt=timezone.now() - KEPT_FOR,
        ).exists()

    def remember(self, user: Any, address_hmac: str) -> None:
        """One statement; three where the address is new, or was last used a day ago."""
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
            # The account was deleted since its password was checked.
            if not refers_to_nothing(error):
                raise
        newest = mine.order_by("-last_used_at")[:KEPT_FOR_EACH_USER].values("pk")
        mine.exclude(pk__in=newest, last_used_at__gt=now - KEPT_FOR).delete()


class KnownAddress(models.Model):
    """An address that an account was logged in from. It is exempt from the limit on failed
    log-ins from all addresses together, so it outlives restarts and Redis."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DB_CASCADE, related_name="+", db_index=False
    )
    # `users.limits.keys.address_key`: nobody can read the address from it.
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
