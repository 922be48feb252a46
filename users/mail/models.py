"""The queue of e-mails."""

import logging
from contextlib import suppress
from datetime import timedelta
from time import monotonic

from django.core.mail import EmailMessage
from django.db import connection, models, transaction
from django.db.models.functions import Now

from users.limits.counters import counters
from users.limits.keys import account_key, hashed
from users.mail.delivery import Delivery, Rejected, Unavailable, is_configured
from users.mail.messages import Kind, notice, reset_message
from users.names import EMAIL_LENGTH
from users.queued_work import QueuedWork, work_queued

logger = logging.getLogger("users.mail")

# Longer than an e-mail can take: 12 answers of the server, with the largest EMAIL_TIMEOUT (20 s).
LEASE = timedelta(minutes=5)
FIRST_PAUSE = timedelta(seconds=30)  # after a failed attempt; doubled after each further one
LONGEST_PAUSE = timedelta(hours=1)
KEPT_FOR = timedelta(days=1)  # then it is dropped
# A machine without a mail server deletes it then, unless another machine has tried to send it.
LEFT_FOR = timedelta(minutes=10)
ROUND = 10.0  # seconds; then other work of the thread comes first
# Notices to an address, or about an account, in an hour. Registration does not check that an e-mail
# belongs to the user, who could otherwise send any number of notices to strangers.
MAX_NOTICES = 10


class OutgoingEmailQuerySet(models.QuerySet["OutgoingEmail"]):
    def queue(
        self, kind: Kind, address: str, *, user_id: int | None = None, site_url: str = ""
    ) -> None:
        """Send an e-mail after the COMMIT of the current transaction."""
        if is_configured():
            self.create(kind=kind, address=address, user_id=user_id, site_url=site_url)
            transaction.on_commit(work_queued.set)

    def claim(self) -> "OutgoingEmail | None":
        """Reserve the e-mail that is due first for LEASE. None if none is due."""
        with transaction.atomic():
            due = self.filter(due_at__lte=Now()).order_by("due_at", "pk")
            email = due.select_for_update(skip_locked=True).first()
            if email is not None:
                email.attempts += 1
                self.filter(pk=email.pk).update(due_at=Now() + LEASE, attempts=email.attempts)
        return email


class OutgoingEmail(QueuedWork):
    """An e-mail that is not sent yet. It contains no secret.

    The trigger of `migrations/0001_initial.py` queues the notices about changes of users. A request
    to reset a password is queued for any e-mail, and the account is looked up later: the request
    does the same for an e-mail without an account.

    If a process is killed between the sending and the deletion of the row, the e-mail is sent
    twice.
    """

    kind = models.CharField(max_length=30, choices=Kind)
    address = models.CharField(max_length=EMAIL_LENGTH)
    # No foreign key: a notice goes out after the account is deleted.
    user_id = models.BigIntegerField(null=True)
    site_url = models.CharField(max_length=300, blank=True, db_default="")
    attempts = models.IntegerField(db_default=0, default=0)
    due_at = models.DateTimeField(db_default=Now(), db_index=True)

    objects = OutgoingEmailQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @classmethod
    def run_batch(cls) -> str:
        """Send what is due, for ROUND at most. Always returns "", so that the thread then looks for
        other work."""
        if not is_configured():
            cls._delete_unsent()
            return ""
        cls._drop_old()
        end = monotonic() + ROUND
        with Delivery() as delivery, suppress(Unavailable):
            while email := cls.objects.claim():
                email._send(delivery)
                if monotonic() > end:
                    work_queued.set()
                    break
        return ""

    @classmethod
    def _delete_unsent(cls) -> None:
        """Delete what no machine will send. The database queues notices on a site without a mail
        server too. Another machine may have one, for example while the settings are changed."""
        untried = models.Q(attempts=0, requested_at__lt=Now() - LEFT_FOR)
        cls.objects.filter(untried | models.Q(requested_at__lt=Now() - KEPT_FOR)).delete()

    @classmethod
    def _drop_old(cls) -> None:
        """Every e-mail is tried at least once, also after an outage of this server."""
        old = cls.objects.filter(due_at__lte=Now(), requested_at__lt=Now() - KEPT_FOR)
        if number := old.filter(attempts__gt=0).delete()[0]:
            logger.error("Dropped %d e-mails that could not be sent for a day", number)

    def _send(self, delivery: Delivery) -> None:
        """Raises Unavailable."""
        message = self._message()
        if message is not None:
            if not connection.in_atomic_block:
                connection.close()  # requests may need it while the mail server is slow
            try:
                delivery.send(message)
            except Unavailable as error:
                self._postpone(error)
                raise
            except Rejected as error:
                logger.warning("Dropped an e-mail (%s): %s", self, error)
        OutgoingEmail.objects.filter(pk=self.pk).delete()

    def _postpone(self, error: Unavailable) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(self.attempts - 1, 10), LONGEST_PAUSE)
        OutgoingEmail.objects.filter(pk=self.pk).update(due_at=Now() + pause)
        logger.warning("Could not send an e-mail (%s, attempt %d): %s", self, self.attempts, error)

    def _message(self) -> EmailMessage | None:
        if self.kind == Kind.PASSWORD_RESET:
            return reset_message(self.address, self.site_url)
        keys = (account_key(self.address), hashed(f"user {self.user_id}"))
        if self.attempts == 1 and counters.count_unless_full(
            {f"notice:{key}": MAX_NOTICES for key in keys}, 3600
        ):
            # Not a warning: a user who causes them could fill the log.
            logger.debug("Dropped an e-mail (%s): too many in an hour", self)
            return None
        return notice(Kind(self.kind), self.address, self.requested_at)
