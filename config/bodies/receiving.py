"""Receives the body of a request before Django sees the request, or refuses it."""

from io import BytesIO
from wsgiref.types import WSGIEnvironment

from django.conf import settings
from django.http import HttpRequest

from config.bodies.reader_pool import Body, ReaderPool, TooManyBodies
from users.limits.client_addresses import client_address, network_of

# A key of WSGI's environ. Its value is the error code of a body that was refused.
REFUSED = "config.bodies.refused"

MAX_MEMORY = 64 * 1024 * 1024  # bytes of all bodies of a process

pool = ReaderPool(
    timeout=settings.SERVER_BODY_TIMEOUT,
    max_bodies=settings.SERVER_MAX_BODIES,
    max_bytes=MAX_MEMORY,
)


def receive(environ: WSGIEnvironment) -> Body | None:
    """Read the whole body into memory, so that Django never waits for the client: a thread that
    waits inside Django keeps its slot and its connection of the pool.

    A body that is refused is replaced by an empty one, and `environ[REFUSED]` has the error code.
    The caller must close() the returned body after the answer. close() waits for a late body:
    granian stops the whole process if a request ends while its body is still being read.
    """
    body, content, code = None, b"", ""
    try:
        body, code = _read(environ)
    except TooManyBodies:
        code = "throttled"
    if body and body.late:
        code = "not_received"
    if code:
        environ[REFUSED] = code
        if body:
            body.abandon()
    elif body:
        content = body.take_content()
    environ["wsgi.input"] = BytesIO(content)
    environ["CONTENT_LENGTH"] = str(len(content))
    return body


def _read(environ: WSGIEnvironment) -> tuple[Body | None, str]:
    """The body, and the error code if it is refused, otherwise ""."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = environ.get("CONTENT_LENGTH") or ""
    if not length and "HTTP_TRANSFER_ENCODING" in environ:
        # The body is sent in chunks, without a length. Django would treat it as empty.
        # Some servers mark the end of the input, so the bytes can be counted. With other servers,
        # such as Django's runserver, the length is necessary (RFC 9112, section 6.3).
        if not environ.get("wsgi.input_terminated"):
            return None, "length_required"
        # granian does not tell whether the client closed the connection before the last chunk.
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
    # Fewer bytes: the client closed the connection too early (RFC 9112, section 8).
    return body, "incomplete" if body.received < size else ""


def _receive(environ: WSGIEnvironment, size: int) -> Body:
    request = HttpRequest()
    request.META = environ
    return pool.receive(environ["wsgi.input"], size, network_of(client_address(request)))
