"""The stored responses of requests with an idempotency key."""

import json
import zlib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.http import HttpResponse
from django.utils import timezone

LIFETIME = timedelta(hours=24)
KEY_LENGTH = 255
PATH_LENGTH = 1024  # a row of an index holds 2,700 bytes
EXPIRED_PER_REQUEST = 30
# The newest bodies of each user are stored, up to these limits: a client that lost a response
# retries within minutes. The first limits the disk space, and fits several of the longest articles.
# The second limits the rows that each request with a key reads: 0.1 ms.
MAX_BYTES = 2**20  # compressed
MAX_BODIES = 100
# Concurrent requests do not see each other's rows. The default `max_connections` of PostgreSQL is
# 100.
MAX_CONCURRENT_REQUESTS = 100
# "deflate" in HTTP means zlib's format (RFC 9110, 8.4.1.2). Rows of older versions have a body
# without compression and without this header.
_COMPRESSED = {"Content-Encoding": "deflate"}

# Store the response in one row, and drop other bodies of the user beyond the limits. Only the body
# of an object can be dropped, because it can be rebuilt.
_STORE = """
    WITH answered AS (
        UPDATE database_idempotencykey
        SET status = %s, headers = %s, content = %s, object_id = %s WHERE id = %s
    )
    UPDATE database_idempotencykey SET content = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM database_idempotencykey WHERE id IN (
            SELECT id FROM (
                SELECT id, object_id, content IS NOT NULL AS has_body,
                    row_number() OVER newest AS rank,
                    sum(length(content)) OVER newest AS bytes
                FROM (
                    SELECT id, object_id, content, created_at
                    FROM database_idempotencykey WHERE user_id = %s AND id <> %s
                    ORDER BY created_at DESC LIMIT %s
                ) AS rows
                WINDOW newest AS (ORDER BY created_at DESC ROWS UNBOUNDED PRECEDING)
            ) AS bodies
            WHERE has_body AND object_id IS NOT NULL AND (bytes > %s OR rank >= %s)
        ) FOR UPDATE SKIP LOCKED
    ))
"""


class IdempotencyKeyManager(models.Manager["IdempotencyKey"]):
    def delete_expired(self, limit: int = EXPIRED_PER_REQUEST) -> int:
        """Delete at most `limit` of the oldest expired rows; return how many.

        One statement, which waits for no lock. The default is more than the one row that a request
        adds, so that a backlog shrinks. The array enforces the limit: PostgreSQL may run the
        subquery of a plain `IN` several times.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                """
                DELETE FROM database_idempotencykey WHERE id = ANY(ARRAY(
                    SELECT id FROM database_idempotencykey WHERE created_at <= %s
                    ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED
                ))
                """,
                [timezone.now() - LIFETIME, limit],
            )
            deleted: int = cursor.rowcount
        return deleted


class IdempotencyKey(models.Model):
    """The key of a request, and its response.

    One transaction inserts the row and stores the response, so other transactions never see a row
    without a response. The body may be dropped later if `object_id` is set.
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
        # Of the pool page. Django needs a model for each permission.
        permissions = [("view_pool", "Can see the database page")]

    def __str__(self) -> str:
        return f"{self.key} of user {self.user_id} for {self.method} {self.path}"

    def claim(self) -> bool:
        """Insert the row, or take over an expired one. False if there is another row: it is locked
        until the end of the transaction.

        Waits for another transaction that has claimed the same key. Raises OperationalError after
        the statement timeout, and IntegrityError if the user does not exist.

        One statement, because another transaction could insert or delete the row between two.
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
                [*request, self.created_at, self.created_at - LIFETIME],
            )
            row = cursor.fetchone()
        if row is not None:
            self.pk = row[0]
        return row is not None

    def existing(self) -> "IdempotencyKey":
        """The row that made `claim()` return False."""
        return IdempotencyKey.objects.get(
            user=self.user_id, method=self.method, path=self.path, key=self.key
        )

    def store(self, response: HttpResponse, object_id: int | None) -> None:
        """Store the response in a claimed row, and drop the user's bodies beyond the limits.

        One statement, which waits for no lock and skips locked rows. Concurrent requests of a user
        do not see each other's rows; the next request drops their surplus.
        """
        headers = dict(response.headers) | _COMPRESSED
        content = zlib.compress(response.content)
        stored: list[Any] = [response.status_code, json.dumps(headers), content, object_id, self.pk]
        others = [self.user_id, self.pk, MAX_BODIES + MAX_CONCURRENT_REQUESTS]
        limits = [MAX_BYTES - len(content), MAX_BODIES]
        with connection.cursor() as cursor:
            cursor.execute(_STORE, [*stored, *others, *limits])

    def response(self) -> HttpResponse | None:
        """The stored response; None if its body was dropped."""
        if self.content is None:
            return None
        is_compressed = _COMPRESSED.items() <= (self.headers or {}).items()
        content = zlib.decompress(self.content) if is_compressed else self.content
        return self.with_headers(HttpResponse(content))

    def with_headers[R: HttpResponse](self, response: R) -> R:
        """Set the stored status and headers on a response."""
        response.status_code = self.status or response.status_code
        for name, value in (self.headers or {}).items():
            if name not in _COMPRESSED:
                response[name] = value
        return response


class Timeline(models.Model):
    """A timeline of PostgreSQL on which a write was acknowledged. Each promotion of a standby
    begins a new one. A standby that has replayed the row has replayed the promotion."""

    # Of the servers that follow each other. Rows of other systems come with a dump.
    system_identifier = models.BigIntegerField()
    number = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["system_identifier", "number"], name="timeline_once"),
        ]

    def __str__(self) -> str:
        return f"{self.number} of {self.system_identifier}"
