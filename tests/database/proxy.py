"""A TCP proxy before a server: it can lose the answer to a COMMIT, or the COMMIT."""

import socket
import threading
from contextlib import suppress
from typing import Self

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # as libpq sends it: a simple query


class Proxy:
    """Listens on a free port of 127.0.0.1, from entry to exit of `with`.

    With `lost_commits` at n, the next n transactions commit, and whoever waits for the
    answer finds the connection closed: no client can tell this from a COMMIT that never came,
    as it is with `commits_arrive` off. An INSERT by itself commits too: `commit` is what is
    looked for in what clients send.
    """

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.lost_commits = 0
        self.commits_arrive = True
        self.commit = COMMIT
        self._counting = threading.Lock()
        self._sockets: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A close alone leaves accept() waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in list(self._sockets):
            _close(end)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.server, 10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self._sockets |= {client, server}
        losing = threading.Event()
        answers = threading.Thread(target=self._answer, args=(server, client, losing), daemon=True)
        answers.start()
        self._ask(client, server, losing)
        answers.join()
        self._sockets -= {client, server}
        client.close()
        server.close()

    def _ask(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.commit in data and self._takes_commit():
                    losing.set()
                    if not self.commits_arrive:
                        break
                server.sendall(data)
        _close(server)

    def _answer(
        self, server: socket.socket, client: socket.socket, losing: threading.Event
    ) -> None:
        with suppress(OSError):
            while (data := server.recv(65536)) and not losing.is_set():
                client.sendall(data)
        _close(client)

    def _takes_commit(self) -> bool:
        with self._counting:
            taken = self.lost_commits > 0
            self.lost_commits -= taken
            return taken


def _close(end: socket.socket) -> None:
    """Close for both sides, and for a thread of ours that reads it; one closed already is fine."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
