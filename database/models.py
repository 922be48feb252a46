"""The answers that are given again to a request that is sent again."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.http import HttpResponse
from django.utils import timezone

KEPT_FOR = timedelta(hours=24)
KEY_LENGTH = 255
PATH_LENGTH = 1024  # an entry of an index has room for 2,700 bytes in all
DELETED_AT_ONCE = 30


class IdempotencyKeyManager(models.Manager["IdempotencyKey"]):
    def delete_expired(self) -> None:
        """One statement, which waits for nobody.

        Every request with a key deletes more rows than it can add: whatever a busy day has
        left behind gets less. The array holds PostgreSQL to the limit; the subquery of a
        plain `IN` may be run more than once.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                """
                DELETE FROM database_idempotencykey WHERE id = ANY(ARRAY(
                    SELECT id FROM database_idempotencykey WHERE created_at <= %s
                    ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED
                ))
                """,
                [timezone.now() - KEPT_FOR, DELETED_AT_ONCE],
            )


class IdempotencyKey(models.Model):
    """A request that its sender has named, and the answer to it.

    The answer is written by the transaction that inserts the row, so nobody else ever sees
    a row without one.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DB_CASCADE, related_name="+", db_index=False
    )
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=PATH_LENGTH)
    key = models.CharField(max_length=KEY_LENGTH)
    body_hmac = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(null=True)
    content = models.BinaryField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = IdempotencyKeyManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "method", "path", "key"], name="idempotency_key_once"
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="oldest_idempotency_keys")]

    def __str__(self) -> str:
        return f"{self.key} of user {self.user_id} for {self.method} {self.path}"

    def claim(self) -> bool:
        """Insert the row, or take over one that is too old. False if there is one that is
        not: its answer counts, and it stays there until the transaction ends.

        Waits for the transaction of a request that has claimed the same; at most the
        statement time-out, then it raises OperationalError. Raises IntegrityError without
        the user.

        One statement, because between two the row could appear, or be deleted.
        """
        request: list[Any] = [self.user_id, self.method, self.path, self.key, self.body_hmac]
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO database_idempotencykey AS kept
                    (user_id, method, path, key, body_hmac, created_at)
                VALUES (%s, %s, %s, %s, %s, %s)
                ON CONFLICT ON CONSTRAINT idempotency_key_once DO UPDATE
                    SET body_hmac = excluded.body_hmac, created_at = excluded.created_at
                    WHERE kept.created_at <= %s
                RETURNING id
                """,
                [*request, self.created_at, self.created_at - KEPT_FOR],
            )
            row = cursor.fetchone()
        if row is not None:
            self.pk = row[0]
        return row is not None

    def kept(self) -> "IdempotencyKey":
        """The row that a claim has lost to."""
        return IdempotencyKey.objects.get(
            user=self.user_id, method=self.method, path=self.path, key=self.key
        )

    def keep(self, response: HttpResponse) -> None:
        """Write down the answer to the request of a row that was claimed."""
        IdempotencyKey.objects.filter(pk=self.pk).update(
            status=response.status_code, headers=dict(response.headers), content=response.content
        )

    def answer(self) -> HttpResponse:
        return HttpResponse(self.content, status=self.status, headers=self.headers)
