"""Forks a process for each command; `tests.processes.run_forked` starts it and sends the commands.

It has imported packages that cost most of the time in which a command starts. It has imported
nothing of this project and has read no settings: each command does so with its own environment.
"""

import json
import os
import runpy
import select
import signal
import socket
import sys
from importlib import import_module

PACKAGES = (
    "argon2",
    "django.contrib.postgres.aggregates",
    "django.contrib.postgres.indexes",
    "django.contrib.postgres.search",
    "django.core.management.commands.migrate",
    "django.db.backends.postgresql.base",
    "django.forms",
    "django.template.backends.django",
    "django.views.generic",
    "environ",
    "jwt",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "redis",
    "requests",
    "rest_framework.serializers",
)


def next_command(listener: socket.socket) -> list[str]:
    """In a new process, whose environment and output are those of the command: its arguments.

    Ends the process that forks when its standard input is closed.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watching processes
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        message, output, *_ = socket.recv_fds(connection, 1_000_000, maxfds=3)
        if process := os.fork():
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            connection.sendall(str(status).encode())
            os._exit(0)
        connection.close()
        for standard, descriptor in enumerate(output):
            os.dup2(descriptor, standard)
            os.close(descriptor)
        arguments, environment = json.loads(message)
        os.environ.clear()
        os.environ.update(environment)
        return list(arguments)
    sys.exit()


if __name__ == "__main__":
    for package in PACKAGES:
        import_module(package)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(sys.argv[1])
        listener.listen(16)
        print("ready", flush=True)
        program, *rest = next_command(listener)
    if program == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})  # noqa: S102 -- as `python -c` does
    else:
        sys.argv = [program, *rest]
        runpy.run_path(program, run_name="__main__")
