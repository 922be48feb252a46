"""Check the databases, then become the production server."""

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
        # Only until the server starts: process 1 of a container ignores signals without a handler.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        address = _free_address(host, port)
        call_command("dbcheck", workers=workers, threads=threads, verbosity=0)
        self.check(tags=["serve"], include_deployment_checks=True)
        # The settings of the workers read these. Only this server sets SERVING_THREADS, which turns
        # the access log on and limits the queue of a stalled pool.
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
    """The IP address of `host`, because granian accepts no name.

    Raises CommandError if the address is in use. Otherwise two servers could share the requests,
    because each worker binds the port with SO_REUSEPORT.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server((str(address[0]), port), family=family).close()
    except OSError as error:
        raise CommandError(
            f"The server cannot listen on {host}:{port}: {error.strerror}."
        ) from error
    return str(address[0])


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by a new interpreter that runs `module`, with the same import path."""
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 -- no shell
