"""A small mail server (SMTP without TLS) that keeps what it receives."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


class MailServer(socketserver.ThreadingTCPServer):
    """`answers` has other answers than the usual ones, by the command: `{"RCPT": "550 unknown"}`.
    None: no answer at all."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, **answers: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.port = self.server_address[1]
        self.answers: dict[str, str | None] = answers
        self.received: list[EmailMessage] = []
        self.connections = 0
        self.stopped = threading.Event()

    @property
    def mailer(self) -> dict[str, Any]:
        """For the setting MAILERS."""
        timeout = 1 if None in self.answers.values() else 10
        options = {"host": "127.0.0.1", "port": self.port, "timeout": timeout}
        return {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.server.connections += 1
        self._answer("CONNECT", "220 ready")
        while line := self.rfile.readline():
            command = line.split()[0].decode().upper()
            if command == "DATA":
                self._receive()
            elif command == "QUIT":
                self._answer(command, "221 bye")
                return
            else:
                self._answer(command, "250 ok")

    def _receive(self) -> None:
        self._answer("DATA", "354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        usual = "250 accepted"
        if self.server.answers.get("TEXT", usual) == usual:
            message = message_from_bytes(b"".join(lines), policy=policy.default)
            self.server.received.append(message)
        self._answer("TEXT", usual)

    def _answer(self, command: str, usual: str) -> None:
        answer = self.server.answers.get(command, usual)
        if answer is None:
            self.server.stopped.wait(30)
            return
        self.wfile.write(f"{answer}\r\n".encode())


@contextmanager
def mail_server(**answers: str | None) -> Iterator[MailServer]:
    with MailServer(**answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
