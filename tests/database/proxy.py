"""A TCP proxy that can lose the answer to a COMMIT, or the COMMIT itself, or delay all answers."""

import socket
import threading
import time
from contextlib import suppress
from typing import Self

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # as libpq sends it: a simple query


class Proxy:
    """Listens on a free port of 127.0.0.1 during the `with` block.

    `lost_commits`: for so many next transactions, the client's connection is closed instead of
    answering the COMMIT. `text`: only transactions with these bytes are lost, because the threads
    of a server commit too. `commits_arrive`: whether PostgreSQL gets these COMMITs; the client
    cannot tell the difference. `commit`: the bytes that mark a commit; a single INSERT commits too.
    `messages` counts what the clients have sent, each write to a socket once. `delay`: seconds that
    each answer of the server waits.
    """

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.lost_commits = 0
        self.text = b""
        self.commits_arrive = True
        self.commit = COMMIT
        self.messages = 0
        self.delay = 0.0
        self._counting = threading.Lock()
        self._sockets: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A close() without shutdown() does not end accept().
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
        transaction = b""
        with suppress(OSError):
            while data := client.recv(65536):
                self.messages += 1
                transaction = data if b"BEGIN" in data else transaction + data
                if self.commit in data and self._takes_commit(transaction):
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
                time.sleep(self.delay)
                client.sendall(data)
        _close(client)

    def _takes_commit(self, transaction: bytes) -> bool:
        with self._counting:
            taken = self.lost_commits > 0 and self.text in transaction
            self.lost_commits -= taken
            return taken


def _close(end: socket.socket) -> None:
    """Shut the socket down, which also ends a recv() in another thread; ignore a closed socket."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
