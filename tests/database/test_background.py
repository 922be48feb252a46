"""Background threads survive exceptions that the objects they handle raise."""

import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from django.db import connection

from database import background, metrics
from database.backend import housekeeping
from database.backend.checkouts import Checkout, checked_out
from database.backend.connection import Connection
from database.backend.pool import Pool
from database.backend.watchdog import Watchdog, watchdog
from database.embedded import supervisor
from database.health.probes import Probe, probes
from database.metrics import histogram
from database.metrics.histogram import Histogram
from tests.database import application
from tests.database.pools import MakePool, taken, value
from tests.database.servers import wait_until
from tests.processes import database_url, run
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "SAMPLE_INTERVAL", 0.05)
    monkeypatch.setattr(background, "_logged_at", {})


# pytest warns when SystemExit ends a thread; `threading` itself ignores it.
ignore_ended_thread = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


def gauge(name: str) -> float:
    (metric,) = metrics.GAUGES[name].collect()
    return max(sample.value for sample in metric.samples)


FORK = """
import os, signal, threading
from database.background import BackgroundThread
has_run = threading.Event()
thread = BackgroundThread("it", has_run.set)
with thread._starting:  # as if another thread was starting it
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        thread.ensure_running()
        os._exit(0 if has_run.wait(5) else 1)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_process_that_is_forked_during_a_start_starts_its_own_thread() -> None:
    assert run("-c", FORK).returncode == 0


class BrokenPool(Pool):
    """A pool whose methods for housekeeping raise."""

    asked = 0

    def get_stats(self) -> dict[str, int]:
        self.asked += 1
        raise RuntimeError("this pool has no figures")

    def check(self) -> None:
        self.asked += 1
        raise RuntimeError("this pool can't be checked")


def test_housekeeping_continues_for_the_other_pools_when_one_raises(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    connection.close()  # otherwise the gauge counts this thread's connection too
    broken = cast(BrokenPool, make_pool(kind=BrokenPool, max_lifetime=0.2))
    sound = make_pool(max_lifetime=0.2)
    with taken(sound) as session:
        opened_first = session.opened_at
        wait_until(lambda: gauge("in_use") == 1, "the gauge shows the sound pool")
        wait_until(lambda: broken.asked > 5, "the broken pool is asked in every round")
    wait_until(lambda: gauge("in_use") == 0, "the gauge follows")

    def is_replaced() -> bool:
        with taken(sound) as session:
            return session.opened_at > opened_first

    wait_until(is_replaced, "the sound pool is checked")
    lines = [r for r in caplog.records if r.name == "database.background"]
    assert all(line.exc_info and line.exc_info[0] is RuntimeError for line in lines)
    assert len(lines) == 2  # one for get_stats(), one for check(); repeated errors are not logged


class EndsItsThread(Pool):
    """A pool that ends the first thread which reads its figures."""

    ended: threading.Thread | None = None

    def get_stats(self) -> dict[str, int]:
        if not self.ended:
            self.ended = threading.current_thread()
            raise SystemExit
        return super().get_stats()


@ignore_ended_thread
def test_a_housekeeping_thread_that_has_ended_is_replaced_at_the_next_checkout(
    make_pool: MakePool,
) -> None:
    connection.close()
    pool = cast(EndsItsThread, make_pool(kind=EndsItsThread, max_size=3))
    wait_until(lambda: pool.ended is not None and not pool.ended.is_alive(), "the thread has ended")

    with taken(pool), taken(pool):
        wait_until(lambda: gauge("in_use") == 2, "the gauges are kept up to date again")


def test_the_list_of_unflushed_amounts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Histogram("it", "It", registry=None, buckets=(1,))
    monkeypatch.setattr(histogram, "_is_buffering", True)

    for _ in range(2 * histogram.MAX_BUFFERED + 1):
        ours.observe(0.5)

    assert len(ours._buffer) <= histogram.MAX_BUFFERED
    ours.flush()
    counts = {s.name: s.value for metric in ours.collect() for s in metric.samples}
    assert counts["it_count"] == 2 * histogram.MAX_BUFFERED + 1


def test_a_histogram_that_raises_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histogram, "_histograms", [])
    broken = Histogram("broken", "It", registry=None, buckets=(1,))
    sound = Histogram("sound", "It", registry=None, buckets=(1,))
    monkeypatch.setattr(histogram, "_is_buffering", True)
    del broken._buckets
    broken.observe(0.5)
    sound.observe(0.5)

    histogram.flush()

    assert not sound._buffer
    assert not broken._buffer


class CannotBeCut:
    """Replaces a connection, and raises when it is cut."""

    def cut(self) -> None:
        raise RuntimeError("it can't be cut")


@repeated_if_stalled
def test_the_watchdog_cuts_other_connections_when_one_cannot_be_cut(make_pool: MakePool) -> None:
    own = Watchdog()
    pool = make_pool()
    with taken(pool) as session, own.bounded(cast(Connection, CannotBeCut()), 0):
        started = time.monotonic()
        with own.bounded(session, 0.2) as bound, pytest.raises(psycopg.OperationalError):
            session.execute("SELECT pg_sleep(5)")
        assert bound.was_cut
        assert_within(time.monotonic() - started, 2)


def test_the_watchdog_cuts_every_overdue_connection_when_none_can_be_counted(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*labels: str) -> None:
        raise OSError("no space left on device")

    own = Watchdog()
    monkeypatch.setattr(own, "wake", lambda: None)  # no thread
    pool = make_pool(min_size=2, max_size=2)
    with taken(pool) as first, taken(pool) as second, own.bounded(first, 0), own.bounded(second, 0):
        monkeypatch.setattr(metrics.HUNG, "labels", fail)
        own._look(time.monotonic())

        for session in (first, second):
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")


def test_leaks_are_found_when_another_checkout_raises(make_pool: MakePool) -> None:
    leaks = value(metrics.LEAKS, kind="dead_thread")
    broken = cast(Checkout, object())
    checked_out[id(broken)] = broken
    pool = make_pool()
    try:
        thread = threading.Thread(target=pool.getconn)
        thread.start()
        thread.join()
        with taken(pool):
            assert value(metrics.LEAKS, kind="dead_thread") - leaks == 1
    finally:
        del checked_out[id(broken)]


def test_a_connection_of_a_dead_thread_is_replaced_when_it_cannot_be_counted(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*labels: str) -> None:
        raise OSError("no space left on device")

    pool = make_pool()
    monkeypatch.setattr(metrics.LEAKS, "labels", fail)
    thread = threading.Thread(target=pool.getconn)
    thread.start()
    thread.join()

    with taken(pool) as session:
        assert session.ping(1)


class EndsTheWatchdog:
    """Replaces a connection, and ends the first thread that cuts it."""

    alias = "default"
    cut_by: list[threading.Thread]

    def __init__(self) -> None:
        self.cut_by = []

    def cut(self) -> None:
        self.cut_by.append(threading.current_thread())
        if len(self.cut_by) == 1:
            raise SystemExit


@ignore_ended_thread
def test_a_watchdog_thread_that_has_ended_is_replaced_at_the_next_use() -> None:
    stand_in = EndsTheWatchdog()
    session = cast(Connection, stand_in)
    with watchdog.bounded(session, 0):
        wait_until(lambda: bool(stand_in.cut_by), "the connection is cut")
        stand_in.cut_by[0].join()

    with watchdog.bounded(session, 0):
        wait_until(lambda: len(stand_in.cut_by) == 2, "another watchdog thread cuts the connection")


@ignore_ended_thread
@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_a_probe_works_again_after_an_unexpected_error(error: type[BaseException]) -> None:
    probe = Probe()

    def broken() -> dict[str, Any]:
        raise error("no parameters")

    assert probe.error(broken) == "the probe has failed"
    try:
        wait_until(
            lambda: probe.error(connection.get_connection_params) is None, "the probe works again"
        )
    finally:
        probe.close()


def test_two_threads_use_the_same_probe_whose_connection_is_counted_for_its_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    barrier = threading.Barrier(2)

    def slowly(self: Probe, *alias: str) -> None:
        barrier.wait(5)
        initialise(self, *alias)

    initialise = Probe.__init__
    monkeypatch.setattr(Probe, "__init__", slowly)
    before = value(metrics.CONNECTS, database="elsewhere")
    try:
        with ThreadPoolExecutor() as threads:
            made = [threads.submit(lambda: probes["elsewhere"]) for _ in range(2)]
            first, second = (probe.result() for probe in made)

        assert first is second is probes["elsewhere"]
        assert first.error(connection.get_connection_params) is None
        assert value(metrics.CONNECTS, database="elsewhere") - before == 1
    finally:
        probes.pop("elsewhere").close()


def test_the_server_stops_when_it_cannot_write_the_drain_file(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    (parent / "folder").mkdir(parents=True)
    folder = {"PROMETHEUS_MULTIPROC_DIR": str(parent / "folder"), "SERVER_DRAIN_DELAY": "0"}
    with application.serving(database_url(), folder) as site:
        shutil.rmtree(parent)
        site.process.send_signal(signal.SIGTERM)

        assert site.process.wait(20) == 0
        assert "FileNotFoundError" in site.said()


def test_the_supervisor_retries_when_the_lock_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_RETRY_SECONDS", 0.05)
    in_use = supervisor.open_lock(tmp_path / "in-use")
    kept = os.dup(in_use)
    os.close(in_use)  # flock raises EBADF until a file has this number again
    arguments = (in_use, 0, tmp_path)
    thread = threading.Thread(target=supervisor._stop_when_unused, args=arguments, daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()

    os.dup2(kept, in_use)
    thread.join(5)

    assert not thread.is_alive()
    os.close(in_use)
    os.close(kept)
