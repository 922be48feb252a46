"""The main process of the server: granian starts the workers, replaces dead ones and stops them.

    python -m database.server config.wsgi.application

`manage.py serve` executes this after its checks. This process imports only the settings of the
project, for the log: forked workers would inherit its connections and threads.
"""

import argparse
import json
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib import import_module
from multiprocessing import active_children, parent_process
from threading import Thread, Timer
from typing import Any

from django.conf import settings
from django.utils.log import configure_logging
from granian import Granian
from granian.constants import Interfaces

from database import rundir
from database.background import BackgroundThread, survive

# HTTP connections that a worker accepts, idle ones included. A request waits for a free thread.
# With granian's default, 1024 / workers, 64 idle clients would block one of 16 workers.
MAX_CONNECTIONS = 1024
# Seconds, granian's maximum. A persistent database connection is closed with its thread.
THREAD_IDLE_TIMEOUT = 600
# granian configures the log when it is created, and in each worker before it loads the project.
# The project configures the log afterwards.
NO_HANDLERS = {"version": 1, "disable_existing_loggers": False, "loggers": {}}
SIGNALS = (signal.SIGTERM, signal.SIGINT)
MAX_EXITS = 20  # ended workers that the pool page lists
EXIT_INTERVAL = 0.5  # seconds between two looks for ended workers


def main() -> None:
    options = _options()
    server = Granian(
        options.application,
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        websockets=False,
        workers=options.workers,
        blocking_threads=options.threads,
        blocking_threads_idle_timeout=THREAD_IDLE_TIMEOUT,
        backpressure=MAX_CONNECTIONS,
        # A worker that dies twice within 5.5 s ends the server with status 1.
        respawn_failed_workers=True,
        workers_kill_timeout=options.grace,
        log_dictconfig=NO_HANDLERS,
    )
    server.on_startup(
        partial(stop_on_signals, server.signal_handler_interrupt, options.drain_delay)
    )
    # Before the settings are imported: prometheus_client reads the variable at its import.
    rundir.make()
    try:
        server.on_startup(BackgroundThread("exits", note_exits).ensure_running)
        configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
        logging.getLogger("_granian").addFilter(_is_not_thread_warning)
        server.serve(target_loader=load_application)
    finally:
        rundir.remove()


def note_exits() -> None:
    """Write the exits of workers into the folder of the server, for the pool page."""
    running: dict[int | None, Any] = {}
    exits: deque[dict[str, Any]] = deque(maxlen=MAX_EXITS)
    while True:
        # Both calls collect ended children without waiting. Another thread that waits for a
        # collected child sees that it has ended.
        running |= {process.pid: process for process in active_children()}
        ended = [pid for pid, process in running.items() if process.exitcode is not None]
        for pid in ended:
            exit_status = running.pop(pid).exitcode  # negative: the number of a signal
            exits.append({"pid": pid, "at": round(time.time(), 1), "status": exit_status})
        if ended:
            survive(rundir.write, rundir.EXITS, json.dumps([*exits]).encode())
        time.sleep(EXIT_INTERVAL)


def stop_on_signals(stop: Callable[[], None], delay: float) -> None:
    """Start a thread that calls `stop` after SIGTERM or SIGINT.

    It replaces granian's handler, which sets an Event and deadlocks with the main thread if that
    is about to wait for the Event. The signals are blocked, so forked processes must unblock them.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    Thread(target=_drain_and_stop, args=[stop, delay], daemon=True).start()


def _drain_and_stop(stop: Callable[[], None], delay: float) -> None:
    """Serve for `delay` seconds while /readyz answers 503, so that load balancers choose another
    server. Then accept no connections, and finish the running requests.

    A second signal ends only the delay, not the running requests.
    """
    signal.sigwait(SIGNALS)
    try:
        rundir.mark_draining()
        if delay:
            second = Timer(delay, os.kill, [os.getpid(), signal.SIGTERM])
            second.daemon = True
            second.start()
            signal.sigwait(SIGNALS)
    finally:
        # Also after an error: no other thread handles these signals.
        stop()


def _is_not_thread_warning(record: logging.LogRecord) -> bool:
    """False for granian's warning about more threads than cores: most threads here wait for the
    database or for a client."""
    return "seems quite high" not in record.getMessage()


def load_application(application: str) -> Any:
    """Import the application in a new worker."""
    # Until granian sets its handlers, a signal ends the worker, also one that is pending now.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # A terminal sends Ctrl-C to the whole process group. In a group of its own, the worker runs
    # until the main process stops it after the delay.
    os.setpgid(0, 0)
    Thread(target=_stop_after_main_process, daemon=True).start()
    module, _, name = application.rpartition(".")
    return getattr(import_module(module), name)


def _stop_after_main_process() -> None:
    """Stop this worker when the main process ends. A worker that runs on would keep the port, and
    answer requests beside the workers of the next server."""
    if main_process := parent_process():
        main_process.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m database.server")
    parser.add_argument("application", help="the WSGI application: package.module.name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--drain-delay", type=float, default=0)
    parser.add_argument("--grace", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    main()
