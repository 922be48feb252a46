"""The server's main process: granian's, which starts the workers, replaces one that has died,
and stops them in good order.

    python -m database.server config.wsgi.application

`manage.py serve` becomes this, after its checks. It imports nothing of the project but its
settings, for the log: workers are forked, and would inherit connections and threads.
"""

import argparse
import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from importlib import import_module
from multiprocessing import parent_process
from threading import Thread, Timer
from typing import Any

from django.conf import settings
from django.utils.log import configure_logging
from granian import Granian
from granian.constants import Interfaces

from database import rundir

# What a worker accepts beyond its threads waits for one. granian counts connections, those
# among them that are open and idle; its own default, 1024 by the number of workers, would let
# 64 idle ones shut a worker of 16 off.
CONNECTIONS = 1024
# Seconds that an idle thread is kept, as long as granian lets it be: it takes its connection
# along where connections are persistent.
THREAD_LIFETIME = 600
# granian configures the log when it is created. Each worker does so too, before it loads the
# project, which configures the log again.
NO_HANDLERS = {"version": 1, "disable_existing_loggers": False, "loggers": {}}
SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
        blocking_threads_idle_timeout=THREAD_LIFETIME,
        backpressure=CONNECTIONS,
        # Unless it dies a second time within 5.5 s: then the whole server ends, with status 1.
        respawn_failed_workers=True,
        workers_kill_timeout=options.grace,
        log_dictconfig=NO_HANDLERS,
    )
    server.on_startup(
        partial(stop_on_signals, server.signal_handler_interrupt, options.drain_delay)
    )
    # Before the import of the settings: prometheus_client reads the folder when it is imported.
    rundir.make()
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    logging.getLogger("_granian").addFilter(_is_useful)
    try:
        server.serve(target_loader=load)
    finally:
        rundir.remove()


def stop_on_signals(stop: Callable[[], None], delay: float) -> None:
    """Have a thread call `stop` after SIGTERM or SIGINT, in place of granian's own handler: that
    one sets an Event, and if the main thread is just about to wait for it, both hang.

    Nothing else takes these signals any more; a process that is forked has to unblock them.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    Thread(target=_stop_in_good_order, args=[stop, delay], daemon=True).start()


def _stop_in_good_order(stop: Callable[[], None], delay: float) -> None:
    """For `delay` seconds everything is served as ever while /readyz says 503, so that load
    balancers look for another server; then nothing is accepted any more, and what has begun is
    finished. A second signal ends the delay, and cuts nothing off."""
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


def _is_useful(record: logging.LogRecord) -> bool:
    """False for granian's warning that there are more threads than cores: most of these threads
    wait for a database or a client."""
    return "seems quite high" not in record.getMessage()


def load(application: str) -> Any:
    """What each worker does before it takes traffic: import the application."""
    # A signal ends it until granian has handlers here; one that came before this has waited.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # Ctrl-C goes to every process in a terminal's foreground; the workers stop when the main
    # process says so, and not before the delay is over.
    os.setpgid(0, 0)
    Thread(target=_end_with_the_main_process, daemon=True).start()
    module, _, name = application.rpartition(".")
    return getattr(import_module(module), name)


def _end_with_the_main_process() -> None:
    """Without it nobody would replace a worker or tell it to stop, and the port would stay
    taken: its workers would answer beside those of the next server."""
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
