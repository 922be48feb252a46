"""A connection's socket, as other threads may use it."""

import os
import socket
import threading
import weakref
from contextlib import suppress


class SocketHandle:
    """A second descriptor of the socket of `owner`. It is closed with the owner.

    libpq may close its own descriptor at any time. The number of that descriptor could then belong
    to another connection, and another thread would cut that one.

    Raises OSError if the process has no descriptor left.
    """

    def __init__(self, owner: object, descriptor: int) -> None:
        self._number = os.dup(descriptor)
        self._lock = threading.Lock()
        self._close = weakref.finalize(owner, os.close, self._number)
        self._close.atexit = False

    def close(self) -> None:
        with self._lock:
            self._close()

    def shut_down(self) -> None:
        """End the connection for both sides, also for a thread that waits for it. Any thread may
        call it, also after `close`."""
        with self._lock:
            if self._close.alive:
                handle = socket.socket(fileno=self._number)
                with suppress(OSError):  # the socket is not connected
                    handle.shutdown(socket.SHUT_RDWR)
                handle.detach()

    def close_after_fork(self) -> None:
        """Like `close`, in the child. Another thread of the parent may have held the lock."""
        if self._close.detach():
            os.close(self._number)
