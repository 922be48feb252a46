"""The WSGI application, for `manage.py serve` and for other WSGI servers."""

import atexit
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from multiprocessing.util import Finalize
from time import monotonic
from wsgiref.types import StartResponse, WSGIEnvironment

import django
from django.conf import settings
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, reset_queries
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, get_resolver
from psycopg import OperationalError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from config import access_log  # noqa: E402 -- they need the settings
from config.bodies import receiving  # noqa: E402
from config.bodies.reader_pool import Body  # noqa: E402
from config.semaphore import FairSemaphore  # noqa: E402
from database.backend import close_pools, database_wrapper, open_pools  # noqa: E402
from database.health import answer_probe, close_probes, reporter  # noqa: E402
from users.queue_worker import worker as queue_worker  # noqa: E402


class Handler(WSGIHandler):
    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """The view of the path, as Django finds it, but from a cache: Django tries one pattern
        after the other, which takes 4 % of a read."""
        path = request.path_info
        resolve = _resolved if len(path) <= LONGEST_CACHED else _resolved.__wrapped__
        match = request.resolver_match = resolve(path)
        return match

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        response = super().get_response(request)
        # CommonMiddleware sets the length, but not for errors of the middleware outside of it. The
        # connection of a late body stays open after the answer (`_finish`), so the client needs
        # the length to find the end of the answer.
        if isinstance(response, HttpResponse) and response.status_code >= 400:
            response.setdefault("Content-Length", str(len(response.content)))
        response.wsgi_request = request  # type: ignore[attr-defined]  # for the access log
        return response


# Characters. Longer paths are not cached, so that clients cannot fill the memory.
LONGEST_CACHED = 200


@lru_cache(maxsize=1_000)
def _resolved(path: str) -> ResolverMatch:
    return get_resolver().resolve(path)


# What Django does around each request, and this project does not need, takes 4 % of a read. There
# are no caches and no URLs that depend on the request, and Django logs queries only with DEBUG on.
if not settings.DEBUG:
    request_started.disconnect(reset_queries)
request_finished.disconnect(close_caches)
request_finished.disconnect(reset_urlconf)
if all(each["CONN_MAX_AGE"] == 0 for each in connections.settings.values()):
    # The end of each request has closed its connections.
    request_started.disconnect(close_old_connections)

django_application = Handler()
# The process opens its connections before it accepts requests, so that the first requests do not
# wait for them. It starts without a database too: then it serves the requests that need none, and
# answers 503 to the others. The log has the reason. Without a primary, it serves reads at once, if
# they may use standbys.
with suppress(OperationalError):
    open_pools(database_wrapper().limits.acquire_timeout)
queue_worker.ensure_running()
reporter.ensure_running()
# granian's workers are children of multiprocessing, which does not run atexit functions before
# Python 3.13. PostgreSQL logs an error for each connection that is not closed. The queue worker
# stops before its pool is closed: the highest priority and the last atexit function run first.
Finalize(None, queue_worker.stop, exitpriority=1)
atexit.register(queue_worker.stop)
for close in (close_probes, close_pools, reporter.end, access_log.write):
    Finalize(None, close, exitpriority=0)

slots = FairSemaphore(settings.SERVER_THREADS)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Receive the body, wait for a slot, and let Django answer.

    At most SERVER_THREADS requests are in Django at once.
    """
    started = monotonic()
    queue_worker.ensure_running()  # here too: a server may fork after the import
    reporter.ensure_running()
    body = receiving.receive(environ)
    # Without this key, the server does not send files directly, so that the access log can count
    # the bytes.
    environ.pop("wsgi.file_wrapper", None)
    slots.acquire()
    try:
        # After the slot: a process whose slots never become free must fail /livez.
        if (probe := answer_probe(environ, start_response)) is not None:
            _finish(body)
            return probe
        response = django_application(environ, start_response)
    except BaseException:
        _finish(body)
        raise
    answer = Answer(response, started, body)
    if response.streaming or (body and body.late):
        return answer
    # granian sends a list at once. From an iterator it takes each chunk in a call of its own, which
    # waits for the GIL: 2 to 5 % of a read.
    try:
        return [*answer]
    finally:
        answer.close()


class Answer:
    """The chunks of an answer. The server always calls close() at the end (PEP 3333)."""

    def __init__(self, response: HttpResponseBase, started: float, body: Body | None) -> None:
        self._response = response
        self._started = started
        self._body = body
        self._sent = 0  # bytes

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._response:
            self._sent += len(chunk)
            yield chunk

    def close(self) -> None:
        try:
            self._response.close()
            if settings.ACCESS_LOG:
                access_log.log(self._response, started=self._started, sent=self._sent)
        finally:
            _finish(self._body)


def _finish(body: Body | None) -> None:
    slots.release()
    if body:
        body.close()
