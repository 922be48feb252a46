"""The WSGI application, for granian and every other WSGI server."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.util import Finalize
from time import monotonic
from wsgiref.types import StartResponse, WSGIEnvironment

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from psycopg import OperationalError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from config import access, bodies  # noqa: E402 -- they need the settings
from config.readers import Body  # noqa: E402
from config.turns import Turns  # noqa: E402
from database.backend.base import close_pools, open_pools  # noqa: E402
from database.probe import probe  # noqa: E402
from database.startup import default_database  # noqa: E402
from users import deletion_worker  # noqa: E402


class Handler(WSGIHandler):
    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        response = super().get_response(request)
        # CommonMiddleware does so, but the errors of the middleware outside of it have none. A
        # client that is late with its body has to see the end of its answer (`Answer.close`).
        if isinstance(response, HttpResponse) and response.status_code >= 400:
            response.setdefault("Content-Length", str(len(response.content)))
        response.wsgi_request = request  # type: ignore[attr-defined]  # for the access log
        return response


django_application = Handler()
# Not the first requests, but the start of the process waits for connections to be opened. A
# process that takes the place of another while the database is away serves what needs none,
# and 503 for the rest; the log has the reason.
with suppress(OperationalError):
    open_pools(default_database().limits.acquire_timeout)
deletion_worker.DeletionWorker().start()
# A worker of granian's is a child of multiprocessing's, which before Python 3.13 runs no
# functions of atexit's. A connection that nobody closes is an error to PostgreSQL.
for close in (probe.close, close_pools, access.write):
    Finalize(None, close, exitpriority=0)

turns = Turns(settings.SERVER_THREADS)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Django, with the body of the request at hand, for as many requests at once as there are
    SERVER_THREADS."""
    started = monotonic()
    late = bodies.receive(environ)
    # A server that sent a file by itself would not tell how much of it.
    environ.pop("wsgi.file_wrapper", None)
    turns.take()
    try:
        response = django_application(environ, start_response)
    except BaseException:
        _end(late)
        raise
    return Answer(response, started, late)


class Answer:
    """What a server sends; it calls close() in any case (PEP 3333)."""

    def __init__(self, response: HttpResponseBase, started: float, late: Body | None) -> None:
        self._response = response
        self._started = started
        self._late = late
        self._sent = 0  # bytes

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._response:
            self._sent += len(chunk)
            yield chunk

    def close(self) -> None:
        try:
            self._response.close()
            if settings.ACCESS_LOG:
                access.log(self._response, started=self._started, sent=self._sent)
        finally:
            _end(self._late)


def _end(late: Body | None) -> None:
    turns.give_back()
    if late:
        late.wait()
