"""The WSGI application, for granian and every other WSGI server."""

import os
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from multiprocessing.util import Finalize
from wsgiref.types import StartResponse, WSGIEnvironment

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from psycopg import OperationalError

from database.backend.base import close_pools, open_pools
from database.probe import probe
from database.startup import default_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django_application = get_wsgi_application()

from users import deletion_worker  # noqa: E402 -- it has a model, and models need the apps

# Not the first requests, but the start of the process waits for connections to be opened. A
# process that takes the place of another while the database is away serves what needs none,
# and 503 for the rest; the log has the reason.
with suppress(OperationalError):
    open_pools(default_database().limits.acquire_timeout)
deletion_worker.DeletionWorker().start()
# A worker of granian's is a child of multiprocessing's, which before Python 3.13 runs no
# functions of atexit's. A connection that nobody closes is an error to PostgreSQL.
for close in (probe.close, close_pools):
    Finalize(None, close, exitpriority=0)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Django, with the body of the request at hand.

    It is read before anything else happens: a client that sends it slowly, or never ends,
    keeps a thread, but no connection of the pool, which authentication would have taken.

    Some clients send a body in chunks, without saying how long it is, and Django takes it
    for an empty one. A server that marks the end of the input lets it be measured; of any
    other, Django's runserver among them, this asks for the length (RFC 9112, section 6.3).
    """
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = environ.get("CONTENT_LENGTH") or ""
    if "HTTP_TRANSFER_ENCODING" in environ:
        if not environ.get("wsgi.input_terminated"):
            # Without a length of its own, so that runserver closes the connection: what
            # follows on it is the body.
            start_response("411 Length Required", [("Content-Type", "application/json")])
            return [b'{"errors":{"body":["needs a Content-Length"]}}']
        # One byte too many is enough to be refused for.
        content = environ["wsgi.input"].read(limit + 1)
        environ |= {"wsgi.input": BytesIO(content), "CONTENT_LENGTH": str(len(content))}
    elif length.isdecimal() and int(length) <= limit:
        content = environ["wsgi.input"].read(int(length))
        if len(content) < int(length):
            # The client has hung up (RFC 9112, section 8): what it began is not to be done.
            start_response("400 Bad Request", [("Content-Type", "application/json")])
            return [b'{"errors":{"body":["is incomplete"]}}']
        environ["wsgi.input"] = BytesIO(content)
    return django_application(environ, start_response)
