"""The body of a request: received before Django sees the request, or else refused."""

from collections.abc import Callable
from io import BytesIO
from wsgiref.types import WSGIEnvironment

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.log import log_response

from config.bodies.readers import Body, Readers, TooManyBodies, TooSlow
from config.errors import KEYS, RETRY_AFTER, WORDS, is_api, plain
from database.requests import SAFE_METHODS
from users.limits import client_address, network_of

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

MAX_MEMORY = 64 * 1024 * 1024  # bytes of all bodies of a process

readers = Readers(
    timeout=settings.SERVER_BODY_TIMEOUT, most=settings.SERVER_MAX_BODIES, memory=MAX_MEMORY
)


def receive(environ: WSGIEnvironment) -> Body | None:
    """Puts the whole body into memory, so that Django never waits for the client: a thread that
    waited would keep its turn, and its connection of the pool.

    A body that is refused is replaced by an empty one, and REFUSED has the code of the reason.
    The caller must end() the body that is returned, after the answer. That takes long if the body
    is late: granian stops the whole process if a request ends while its body is still being read.
    """
    body, content, reason = None, b"", ""
    try:
        body, reason = _read(environ)
    except TooManyBodies:
        reason = "throttled"
    except TooSlow as error:
        body, reason = error.body, "not_received"
    if reason:
        environ[REFUSED] = reason
        if body:
            body.abandon()
    elif body:
        content = body.take_content()
    environ["wsgi.input"] = BytesIO(content)
    environ["CONTENT_LENGTH"] = str(len(content))
    return body


def _read(environ: WSGIEnvironment) -> tuple[Body | None, str]:
    """The body, and the code of the reason why it is refused, or ""."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = environ.get("CONTENT_LENGTH") or ""
    if not length and "HTTP_TRANSFER_ENCODING" in environ:
        # The body is sent in chunks. Django would take it for empty, because it has no length.
        # Some servers mark the end of the input, so the bytes can be counted. The others, such as
        # Django's runserver, have to be told the length (RFC 9112, section 6.3).
        if not environ.get("wsgi.input_terminated"):
            return None, "length_required"
        # granian does not tell whether the client hung up before the last chunk.
        body = _receive(environ, limit + 1)
        return body, "too_large" if body.received > limit else ""
    if not length.isdecimal():
        return None, ""
    # int() raises ValueError for more than 4,300 digits.
    digits = length.lstrip("0")
    if len(digits) > 18 or int(digits or "0") > limit:
        return None, "too_large"
    size = int(digits or "0")
    if not size:
        return None, ""
    body = _receive(environ, size)
    # The client hung up before it had sent everything (RFC 9112, section 8).
    return body, "incomplete" if body.received < size else ""


def _receive(environ: WSGIEnvironment, size: int) -> Body:
    request = HttpRequest()
    request.META = environ
    return readers.receive(environ["wsgi.input"], size, network_of(client_address(request)))


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
        # The answer must not be kept for requests with the same key.
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
    """The view's answer to an empty body. Its writes are rolled back."""
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
        # The client still sends the body, so the connection must be closed. runserver closes it
        # after an answer without a Content-Length, such as a stream.
        headers = dict(response.items())
        return StreamingHttpResponse([response.content], status=status, headers=headers)
    return response
