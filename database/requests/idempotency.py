"""`Idempotency-Key`: a repeated POST gets the first response again and has no further effect.

Three Django settings name functions by dotted string; `answers.py` has the defaults.
`IDEMPOTENCY_USER(request)` returns the user, or None to ignore the key. `IDEMPOTENCY_REFUSAL(code)`
returns the response for the code "invalid" or "key_reused". `IDEMPOTENCY_REBUILD(request, id)`
returns a response whose stored body was dropped, for the id that the view passed to
`rebuildable()`; without this setting no body is dropped.
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

from database.errors import is_foreign_key_violation
from database.models import KEY_LENGTH, PATH_LENGTH, IdempotencyKey
from database.requests import expiry
from database.settings import project_setting

KEY = re.compile(rf"[ -~]{{1,{KEY_LENGTH}}}")


def rebuildable[R: HttpResponse](response: R, object_id: int) -> R:
    """Store the id of the object in the response. Its stored body may then be dropped early."""
    response.object_id = object_id  # type: ignore[attr-defined]  # for IdempotencyMiddleware
    return response


class IdempotencyMiddleware:
    """Run the view and store its response in one transaction. It must be the innermost middleware.

    A response that is not a 2xx rolls the transaction back, with the row. Database errors, also of
    the COMMIT, are left to DatabaseMiddleware, which may retry the request because of the row.
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
        expiry.thread.ensure_running()  # not at startup: a server may fork afterwards
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
            if not is_foreign_key_violation(error):
                raise
            # The user was deleted meanwhile. The view returns the right error.
            return self.get_response(request)

    def _answer(self, request: HttpRequest, row: IdempotencyKey) -> HttpResponse:
        # Django's foreign keys are checked at the COMMIT, too late for the view to report which
        # object is missing. Check them at each statement, as outside a transaction.
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if not KEY.fullmatch(row.key) or len(row.path) > PATH_LENGTH:
            return self._refuse(request, "invalid")
        if not row.claim():
            first = row.existing()
            if first.body_hmac != row.body_hmac:
                return self._refuse(request, "key_reused")
            return first.response() or self._rebuilt(request, first)
        response = self.get_response(request)
        if _is_success(response):
            # Raises, for a 500 and a log line, if the response is streamed, or if the view hid an
            # error that aborted the transaction: then its response would be wrong.
            row.store(response, getattr(response, "object_id", None) if self.rebuild else None)
        else:
            transaction.set_rollback(True)
        return response

    def _rebuilt(self, request: HttpRequest, first: IdempotencyKey) -> HttpResponse:
        """The response with the current object, or an error if the object was deleted."""
        if self.rebuild is None or first.object_id is None:
            raise ImproperlyConfigured("IDEMPOTENCY_REBUILD is not set, but a body was dropped.")
        response = self.rebuild(request, first.object_id)
        return first.with_headers(response) if _is_success(response) else response

    def _refuse(self, request: HttpRequest, code: str) -> HttpResponse:
        """Refuse the key, unless the view refuses the request: 401, 404 and 403 come first."""
        response = self.get_response(request)
        transaction.set_rollback(True)
        return self.refusal(code) if _is_success(response) else response


def _row(request: HttpRequest, user: Any, key: str) -> IdempotencyKey:
    body_hmac = salted_hmac("database.idempotency", request.body, algorithm="sha256")
    return IdempotencyKey(
        user=user,
        method="POST",
        # Escaped, because PostgreSQL cannot store a null character.
        path=escape_uri_path(request.path),
        key=key,
        body_hmac=body_hmac.hexdigest(),
    )


def _is_success(response: HttpResponse) -> bool:
    return 200 <= response.status_code < 300
