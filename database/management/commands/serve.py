"""The production server, once its database is as it needs it."""

import math
import os
import signal
import socket
import sys
from argparse import ArgumentParser
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from database.management.commands.dbcheck import add_size
from database.settings import project_setting


class Command(BaseCommand):
    help = "Runs dbcheck, then serves the application with granian."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        add_size(parser)

    def handle(self, *, host: str, port: int, workers: int, threads: int, **_: Any) -> None:
        # The first process of a container ignores a signal that it does not handle.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        address = _free_address(host, port)
        call_command("dbcheck", workers=workers, threads=threads, verbosity=0)
        self.check(tags=["serve"], include_deployment_checks=True)
        # For the settings of the workers. No other server sets SERVING_THREADS: the access log and
        # the bound on the queue of a stalled pool depend on it.
        os.environ |= {"SERVER_WORKERS": str(workers), "SERVER_THREADS": str(threads)}
        os.environ["SERVING_THREADS"] = str(threads)
        _become(
            "database.server",
            settings.WSGI_APPLICATION,
            f"--host={address}",
            f"--port={port}",
            f"--workers={workers}",
            f"--threads={threads + project_setting('SERVER_BODY_THREADS')}",
            f"--drain-delay={project_setting('SERVER_DRAIN_DELAY')}",
            f"--grace={math.ceil(project_setting('SERVER_GRACE'))}",
        )


def _free_address(host: str, port: int) -> str:
    """The IP address of `host`: granian takes no name. Raises CommandError if somebody listens
    there, another server of ours for one: both would get a part of the requests, because each
    worker binds the port for itself (SO_REUSEPORT)."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server((str(address[0]), port), family=family).close()
    except OSError as error:
        raise CommandError(f"Nothing can be served at {host}:{port}: {error.strerror}.") from error
    return str(address[0])


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by a new interpreter that runs `module` with the same import path."""
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 -- no shell
