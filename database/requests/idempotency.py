"""`Idempotency-Key`: a POST that is sent again gives the first answer again, and nothing else.

Three Django settings name functions by dotted string; `answers.py` has the defaults.
`IDEMPOTENCY_USER(request)` returns the user, or None to ignore the key. `IDEMPOTENCY_REFUSAL(code)`
returns the answer for the code "invalid" or "key_reused". `IDEMPOTENCY_REBUILD(request, id)` builds
an answer again whose body was dropped, from the id that the view gave to `rebuildable()`; without
this setting no body is dropped.
"""

import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured, RequestDataTooBig
from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac
from django.utils.encoding import escape_uri_path
from django.utils.module_loading import import_string

from database.errors import refers_to_nothing
from database.models import KEY_LENGTH, PATH_LENGTH, IdempotencyKey
from database.requests import expiry
from database.settings import project_setting

KEY = re.compile(rf"[ -~]{{1,{KEY_LENGTH}}}")


def rebuildable[R: HttpResponse](response: R, object_id: int) -> R:
    """Say which object an answer shows, so that its body need not be kept for 24 hours."""
    response.object_id = object_id  # type: ignore[attr-defined]  # for IdempotencyMiddleware
    return response


class IdempotencyMiddleware:
    """Stands inside of every other middleware: the view, and the row with its answer, are one
    transaction. Whatever is not a 2xx is rolled back, row and all.

    Database errors of its own pass through, that of the COMMIT among them, for
    DatabaseMiddleware to answer; or to run the request again, which is safe with the row.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.user_of: Callable[[HttpRequest], Any] = import_string(
            project_setting("IDEMPOTENCY_USER")
        )
        self.refusal: Callable[[str], HttpResponse] = import_string(
            project_setting("IDEMPOTENCY_REFUSAL")
        )
        rebuild = project_setting("IDEMPOTENCY_REBUILD")
        self.rebuild: Callable[[HttpRequest, int], HttpResponse] | None = rebuild and import_string(
            rebuild
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        expiry.thread.ensure_running()  # here, because a server may fork after it has started
        key = request.META.get("HTTP_IDEMPOTENCY_KEY")
        if request.method != "POST" or key is None:
            return self.get_response(request)
        user = self.user_of(request)
        if user is None:
            return self.get_response(request)
        try:
            row = _row(request, user, key)
        except RequestDataTooBig:
            return self.get_response(request)  # a view that reads the body refuses it
        request.idempotent = True  # type: ignore[attr-defined]  # for DatabaseMiddleware
        IdempotencyKey.objects.delete_expired()
        try:
            with transaction.atomic(durable=True):
                return self._answer(request, row)
        except IntegrityError as error:
            if not refers_to_nothing(error):
                raise
            # The user has been deleted since; the view has the words for that.
            return self.get_response(request)

    def _answer(self, request: HttpRequest, row: IdempotencyKey) -> HttpResponse:
        # Django's foreign keys wait for the COMMIT, when it is too late for the view to say
        # what was not found. Without a transaction they don't wait.
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if not KEY.fullmatch(row.key) or len(row.path) > PATH_LENGTH:
            return self._refuse(request, "invalid")
        if not row.claim():
            kept = row.kept()
            if kept.body_hmac != row.body_hmac:
                return self._refuse(request, "key_reused")
            return kept.answer() or self._rebuilt(request, kept)
        response = self.get_response(request)
        if _is_success(response):
            # Raises, for a 500 and a log entry, if the view has swallowed an error that broke
            # the transaction, so that nothing of what it says is true; or answers in a stream.
            row.keep(response, getattr(response, "object_id", None) if self.rebuild else None)
        else:
            transaction.set_rollback(True)
        return response

    def _rebuilt(self, request: HttpRequest, kept: IdempotencyKey) -> HttpResponse:
        """The answer with the object as it is now. If the object is gone, the error that its
        view gives: the write is not done again."""
        if self.rebuild is None or kept.object_id is None:
            raise ImproperlyConfigured("IDEMPOTENCY_REBUILD is not set, but a body was dropped.")
        response = self.rebuild(request, kept.object_id)
        return kept.completed(response) if _is_success(response) else response

    def _refuse(self, request: HttpRequest, code: str) -> HttpResponse:
        """What the view refuses in any case, it refuses first: 401, 404 and 403 come before."""
        response = self.get_response(request)
        transaction.set_rollback(True)
        return self.refusal(code) if _is_success(response) else response


def _row(request: HttpRequest, user: Any, key: str) -> IdempotencyKey:
    body_hmac = salted_hmac("database.idempotency", request.body, algorithm="sha256")
    return IdempotencyKey(
        user=user,
        method="POST",
        # Escaped, because PostgreSQL has no NUL.
        path=escape_uri_path(request.path),
        key=key,
        body_hmac=body_hmac.hexdigest(),
    )


def _is_success(response: HttpResponse) -> bool:
    return 200 <= response.status_code < 300
