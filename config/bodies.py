"""The body of a request: received before Django sees the request, or else refused."""

from collections.abc import Callable
from io import BytesIO
from wsgiref.types import WSGIEnvironment

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.log import log_response

from config.errors import KEYS, RETRY_AFTER, WORDS, is_api, plain
from config.readers import Body, Readers, TooManyBodies, TooSlow
from database.middleware import SAFE_METHODS

# The codes of the reasons, and what they answer.
STATUS = {
    "incomplete": 400,
    "not_received": 408,
    "length_required": 411,
    "too_large": 413,
    "throttled": 429,
}
REFUSED = "config.bodies.refused"  # a key of WSGI's environ: why there is no body

# What a view answers before it looks at the body: no token, no such object, not the author's, no
# such method.
BEFORE_THE_BODY = {401, 403, 404, 405}

readers = Readers(timeout=settings.SERVER_BODY_TIMEOUT, most=settings.SERVER_MAX_BODIES)


def receive(environ: WSGIEnvironment) -> Body | None:
    """Puts the whole body into memory, so that Django never waits for the client: a thread that
    waited would keep its turn, and its connection of the pool.

    A body that is refused is replaced by an empty one, and REFUSED has the code of the reason.
    One that was late is returned: granian stops the whole process if a request ends while its
    body is still being read, so the caller must wait() for it after the answer.
    """
    content, refused, late = b"", "", None
    try:
        content, refused = _read(environ)
    except TooManyBodies:
        refused = "throttled"
    except TooSlow as error:
        refused, late = "not_received", error.body
    if refused:
        content = b""
        environ[REFUSED] = refused
    environ["wsgi.input"] = BytesIO(content)
    environ["CONTENT_LENGTH"] = str(len(content))
    return late


def _read(environ: WSGIEnvironment) -> tuple[bytes, str]:
    """The body, and the code of the reason why it is refused, or ""."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    stream = environ["wsgi.input"]
    if "HTTP_TRANSFER_ENCODING" in environ:
        # Sent in chunks, without a length, so Django would take it for empty. A server that
        # marks the end of the input allows to count. Any other server, Django's runserver for
        # one, would have to be told the length (RFC 9112, section 6.3).
        if not environ.get("wsgi.input_terminated"):
            return b"", "length_required"
        content = readers.receive(stream, limit + 1)
        return content, "too_large" if len(content) > limit else ""
    length = environ.get("CONTENT_LENGTH") or "0"
    size = int(length) if length.isdecimal() else 0
    if size > limit:
        return b"", "too_large"
    content = readers.receive(stream, size) if size else b""
    # What a client that has hung up began to send must have no effect (RFC 9112, section 8).
    return content, "incomplete" if len(content) < size else ""


def refused(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: answers a request whose body was refused.

    The API checks the body last. So the view runs, is rolled back, and answers 401, 404 and 403
    first.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        reason = request.META.get(REFUSED)
        if reason is None:
            return get_response(request)
        # Nothing to keep an answer to.
        request.META.pop("HTTP_IDEMPOTENCY_KEY", None)
        # Too many requests are refused before any work is done for them.
        if is_api(request) and reason != "throttled":
            response = _rolled_back(get_response, request)
            if response.status_code in BEFORE_THE_BODY or response.status_code >= 429:
                return response
        return _refusal(request, reason)

    return answer


def _rolled_back(
    get_response: Callable[[HttpRequest], HttpResponseBase], request: HttpRequest
) -> HttpResponseBase:
    """What the view answers to an empty body, without the effect that it may have."""
    if request.method in SAFE_METHODS:
        return get_response(request)
    with transaction.atomic():
        response = get_response(request)
        transaction.set_rollback(True)
    return response


def _refusal(request: HttpRequest, code: str) -> HttpResponseBase:
    status, key = STATUS[code], KEYS[code]
    if is_api(request):
        response: HttpResponse = plain(status, key, code)
    else:
        words = f"The {key} {WORDS[code]}."
        response = HttpResponse(
            f"<!doctype html><title>{status}</title><h1>{words}</h1>", status=status
        )
    if status == 429:
        response["Retry-After"] = RETRY_AFTER
        # A line of the log for each request of a flood would be a fifth of the work.
        log_response("Throttled", response=response, request=request, level="debug")
    elif status == 411:
        # A stream has no Content-Length, so runserver closes the connection, on which the body
        # follows.
        headers = dict(response.items())
        return StreamingHttpResponse([response.content], status=status, headers=headers)
    return response
