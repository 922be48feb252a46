"""The answers that are given again to a request that is sent again."""

import json
import zlib
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
# Of each user the newest bodies are kept, up to these limits: a client that lost an answer asks
# again within minutes. The first bounds the disk, and has room for several of the longest
# articles. The second bounds the rows that each request with a key looks at: 0.1 ms.
KEPT_BYTES = 2**20  # compressed
KEPT_BODIES = 100
# Requests at the same moment don't see each other's rows. PostgreSQL has 100 connections, unless
# its `max_connections` is raised.
UNSEEN_BODIES = 100
# What HTTP calls "deflate" is zlib's format (RFC 9110, 8.4.1.2). The header tells such a body
# from one that a version before this wrote.
_COMPRESSED = {"Content-Encoding": "deflate"}

# The answer to one row; and no body any more for those of the user's newest rows that are beyond
# the limits. Only a body of an object can be dropped: it can be built again.
_KEEP = """
    WITH answered AS (
        UPDATE database_idempotencykey
        SET status = %s, headers = %s, content = %s, object_id = %s WHERE id = %s
    )
    UPDATE database_idempotencykey SET content = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM database_idempotencykey WHERE id IN (
            SELECT id FROM (
                SELECT id, object_id, content IS NOT NULL AS has_body,
                    row_number() OVER newest AS place,
                    sum(length(content)) OVER newest AS bytes
                FROM (
                    SELECT id, object_id, content, created_at
                    FROM database_idempotencykey WHERE user_id = %s AND id <> %s
                    ORDER BY created_at DESC LIMIT %s
                ) AS rows
                WINDOW newest AS (ORDER BY created_at DESC ROWS UNBOUNDED PRECEDING)
            ) AS bodies
            WHERE has_body AND object_id IS NOT NULL AND (bytes > %s OR place >= %s)
        ) FOR UPDATE SKIP LOCKED
    ))
"""


class IdempotencyKeyManager(models.Manager["IdempotencyKey"]):
    def delete_expired(self, limit: int = DELETED_AT_ONCE) -> int:
        """Delete the oldest expired rows, `limit` at the most; return how many.

        One statement, which waits for no lock. By default it deletes more rows than one request
        adds, so that a backlog gets smaller. The array holds PostgreSQL to the limit; the
        subquery of a plain `IN` may be run more than once.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                """
                DELETE FROM database_idempotencykey WHERE id = ANY(ARRAY(
                    SELECT id FROM database_idempotencykey WHERE created_at <= %s
                    ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED
                ))
                """,
                [timezone.now() - KEPT_FOR, limit],
            )
            deleted: int = cursor.rowcount
        return deleted


class IdempotencyKey(models.Model):
    """A request that its sender has named, and the answer to it.

    The answer is written by the transaction that inserts the row, so no other transaction sees
    a row without one. Its body may be dropped later, if the view has said which object it shows.
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
    object_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = IdempotencyKeyManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "method", "path", "key"], name="idempotency_key_once"
            ),
        ]
        indexes = [
            models.Index(fields=["created_at"], name="oldest_idempotency_keys"),
            models.Index(fields=["user", "-created_at"], name="newest_idempotency_keys"),
        ]

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

    def keep(self, response: HttpResponse, object_id: int | None) -> None:
        """Write down the answer to the request of a row that was claimed, and drop the bodies
        that are too many.

        One statement, which waits for no lock: a row that is being answered from keeps its body.
        Requests of one user at the same moment don't see each other's rows; the next request
        drops what is too much.
        """
        headers = dict(response.headers) | _COMPRESSED
        content = zlib.compress(response.content)
        answered: list[Any] = [
            response.status_code,
            json.dumps(headers),
            content,
            object_id,
            self.pk,
        ]
        looked_at = [self.user_id, self.pk, KEPT_BODIES + UNSEEN_BODIES]
        limits = [KEPT_BYTES - len(content), KEPT_BODIES]
        with connection.cursor() as cursor:
            cursor.execute(_KEEP, [*answered, *looked_at, *limits])

    def answer(self) -> HttpResponse | None:
        """The kept answer; None if its body was dropped."""
        if self.content is None:
            return None
        is_compressed = _COMPRESSED.items() <= (self.headers or {}).items()
        content = zlib.decompress(self.content) if is_compressed else self.content
        return self.completed(HttpResponse(content))

    def completed[R: HttpResponse](self, response: R) -> R:
        """Give the kept status and headers to an answer with a body."""
        response.status_code = self.status or response.status_code
        for name, value in (self.headers or {}).items():
            if name not in _COMPRESSED:
                response[name] = value
        return response
