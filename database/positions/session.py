"""A connection to Redis that asks for the position of the acknowledged writes.

Each read of the API asks. So the question and its answer use the socket directly: redis-py takes
15 µs more, which is 5 % of a list of articles.
"""

import os
from builtins import TimeoutError as OSTimeoutError
from collections.abc import Mapping
from ssl import SSLSocket
from time import monotonic
from typing import Any

from redis import ConnectionPool, ResponseError, TimeoutError

from database.positions.position import Position

# Of the answer to GET: "$25", the encoded position, and an end of line after each.
POSITION_START = b"$25\r\n"
POSITION_LENGTH = len(POSITION_START) + 25 + 2
RECEIVED_LENGTH = 1_000  # an error is longer than a position
MISSING = (b"$-1\r\n", b"_\r\n")  # in the two versions of the protocol


class RedisSession:
    """The name of the key depends on the Redis that the connection leads to."""

    def __init__(self, pool: ConnectionPool, name: str) -> None:
        """Raises RedisError, OSError."""
        # redis-py connects a closed connection again by itself. That could be another Redis, so a
        # connection that has failed is never used again (`SharedPosition._call`).
        connection: Any = pool.make_connection()  # its methods have no types
        connection.connect()
        self._connection = connection
        self.run_id = _run_id(self.info("server"))
        self.opened_at = monotonic()
        self._key = f"{name}:position:{self.run_id}"
        self._question = b"".join(connection.pack_command("GET", self._key))
        self._socket = connection._sock  # private in redis-py 8.1
        self._is_encrypted = isinstance(self._socket, SSLSocket)
        self._has_lease = False

    def ask(self, *, has_lease: bool) -> None:
        """Send the question for the position. `has_lease` says whether a lease is alive for this
        Redis. Raises OSError."""
        self._has_lease = has_lease
        if self._is_encrypted:
            self._socket.sendall(self._question)
        # Before each call, `socket` would wait with poll() until the socket is ready, because it
        # has a timeout. The kernel has room for a short question, unless the connection is broken.
        elif os.write(self._socket.fileno(), self._question) != len(self._question):
            raise OSError("the question was not sent")

    def answer(self) -> tuple[Position | None, bool]:
        """The answer to `ask`: the position, and whether a lease is alive for it.

        Raises RedisError, OSError, ValueError.
        """
        text = self._received()
        # Without a text, the key was evicted or deleted.
        return (None, False) if text is None else (Position.decoded(text), self._has_lease)

    def _received(self) -> bytes | None:
        answer = b""
        while True:
            part = self._next_part()
            answer += part
            if len(answer) == POSITION_LENGTH and answer.startswith(POSITION_START):
                return answer[len(POSITION_START) : -2]
            if answer in MISSING:
                return None
            if not part or not POSITION_START.startswith(answer[: len(POSITION_START)]):
                raise ResponseError(answer.decode(errors="replace").strip() or "no answer")

    def _next_part(self) -> bytes:
        """What Redis has sent. Raises TimeoutError, OSError."""
        if not self._is_encrypted:
            try:
                return os.read(self._socket.fileno(), RECEIVED_LENGTH)
            except BlockingIOError:
                pass  # nothing has come yet
        try:
            received: bytes = self._socket.recv(RECEIVED_LENGTH)
        except OSTimeoutError as error:
            raise TimeoutError("no answer") from error
        return received

    def run(self, packed: Any) -> Any:
        """The answer to a packed command."""
        self._connection.send_packed_command(packed, check_health=False)
        return self._connection.read_response()

    def info(self, section: str) -> dict[str, str]:
        """The answer to INFO."""
        answer = self.run(self._connection.pack_command("INFO", section))
        lines = [line.partition(":") for line in answer.decode().splitlines()]
        return {name: value for name, _, value in lines}

    def run_script(self, script: str, position: Position, *arguments: int) -> Any:
        values = (position.encoded(), *arguments)
        return self.run(self._connection.pack_command("EVAL", script, 1, self._key, *values))

    def synchronous_since(self) -> Position | None:
        text = self.run(self._connection.pack_command("GET", f"{self._key}:synchronous"))
        return None if text is None else Position.decoded(text)

    def close(self) -> None:
        self._connection.disconnect()


def _run_id(server: Mapping[str, str]) -> str:
    """Raises ValueError if it is missing: without it, a restart would stay unnoticed."""
    if run_id := server.get("run_id"):
        return run_id
    raise ValueError("Redis does not tell its run_id")
