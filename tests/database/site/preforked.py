"""A server that uses the database before it forks its workers, like `gunicorn --preload` with a
query at import: `python -m tests.database.site.preforked PORT WORKERS`."""

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
        """Log nothing: the lines of requests are not needed."""


class Server(ThreadingMixIn, WSGIServer):
    """Accepts connections on a socket that it shares with other processes."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.setup_environ()
        self.set_app(application)


def main(port: int, workers: int) -> None:
    # The connection stays open in this thread, and so does the pool.
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    # Otherwise a worker blocks in accept() when another worker has taken the connection.
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
