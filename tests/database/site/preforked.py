"""A server that uses the database and only then forks its workers, as `gunicorn --preload`
does with a query at import: `python -m tests.database.site.preforked PORT WORKERS`."""

import os
import signal
import socket
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.db import connection

from config.wsgi import application


class Handler(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """A line for each request would help nobody."""


class Server(ThreadingMixIn, WSGIServer):
    """Serves what it accepts on a socket that it shares with other processes."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.setup_environ()
        self.set_app(application)


def main(port: int, workers: int) -> None:
    # It stays open in this thread, and so does the pool.
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    # Nobody but the worker that accepts a connection blocks on it.
    listener.setblocking(False)
    children = [fork(listener) for _ in range(workers)]

    def stop(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    for child in children:
        os.waitpid(child, 0)


def fork(listener: socket.socket) -> int:
    child = os.fork()
    if child == 0:
        Server(listener).serve_forever()
    return child


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
