"""`manage.py serve`: it opens its connections first, replaces dead workers, and stops without
losing a request."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from config.settings import BASE_DIR
from tests.database.application import Application, serve, serving
from tests.database.gate import Gate, closed_gate
from tests.database.load import Reply, ask, failures, load, reading, slowest
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.processes import environment, free_port, run
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.faults

EOF = "unexpected EOF"

# The child uses and closes its probe; the session of the parent's probe must stay open.
FORKED = """
import django; django.setup()
import os, time
from django.db import connection
from database.health.probes import TIMEOUT, probes
from database.backend import database_wrapper
from database.serving.startup import connect

probe = probes["default"]

def sessions():
    with connect(database_wrapper()) as session:
        return session.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        ).fetchall()

assert probe.error(connection.get_connection_params) is None
before = sessions()
if child := os.fork():
    os.waitpid(child, 0)
    time.sleep(TIMEOUT)
    assert probe.error(connection.get_connection_params) is None
    print("parent:", "the same session" if sessions() == before else "another")
else:
    print("child:", probe.error(connection.get_connection_params), flush=True)
    probe.close()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    # With debug1 PostgreSQL logs every client that disconnects without a message.
    with migrated(log_min_messages="debug1", log_disconnections="on") as server:
        yield server


def stop(site: Application, number: signal.Signals = signal.SIGTERM) -> int:
    """Send the signal and return the exit status of the server."""
    site.process.send_signal(number)
    return site.process.wait(20)


def test_its_connections_are_open_before_the_first_request(server: PostgreSQL) -> None:
    sizes = {"DATABASE_POOL_MIN": "4", "DATABASE_POOL_MAX": "4"}
    with serving(server.url(), sizes) as site:
        assert ask(site.port, "/health").json()["pool"]["size"] == 4


@repeated_if_stalled
def test_a_stalled_pool_leaves_two_threads_free(server: PostgreSQL) -> None:
    """Of six threads, three have a connection, one waits, and two answer other requests."""
    three = {"DATABASE_POOL_MAX": "3"}
    with (
        serving(server.url(), three, threads=6) as site,
        ThreadPoolExecutor(4) as clients,
        closed_gate(server) as gate,
    ):
        slow = f"/api/test/sleep?{gate.query}"
        held = [clients.submit(ask, site.port, slow) for _ in range(4)]
        wait_until(lambda: pool_of(site)["waiting"] == 1, "one request waits")
        refused = ask(site.port, "/api/tags")

        assert refused.status == 503
        assert ask(site.port, "/readyz").json() == {"status": "error", "reason": "queue full"}
        assert ask(site.port, "/livez").status == 200
        gate.open()
        assert [future.result().status for future in held] == [200] * 4
        assert ask(site.port, "/readyz").status == 200
    assert_within(refused.seconds, 1)


def pool_of(site: Application) -> dict[str, int]:
    figures: dict[str, int] = ask(site.port, "/health").json()["pool"]
    return figures


def test_the_main_process_logs_json_lines_too(server: PostgreSQL) -> None:
    with serving(server.url()) as site:
        stop(site)
        lines = [line for line in site.said().splitlines() if "Spawning worker-1" in line]

    (entry,) = map(json.loads, lines)
    assert (entry["level"], entry["logger"]) == ("INFO", "_granian")


def test_the_number_of_threads_causes_no_warning(server: PostgreSQL) -> None:
    with serving(server.url()) as site:
        assert ask(site.port, "/livez").status == 200
        assert "threads" not in site.said()


def test_it_stops_while_it_waits_for_the_database() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"postgresql://alice@127.0.0.1:{nobody.getsockname()[1]}/conduit"
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            serve(free_port()), cwd=BASE_DIR, env=environment(DATABASE_URL=url)
        )
        with nobody.accept()[0]:
            process.send_signal(signal.SIGTERM)

            assert process.wait(30) == 0


def test_a_port_in_use_is_reported(server: PostgreSQL) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = run("manage.py", "serve", "--port", port, DATABASE_URL=server.url())

    assert process.returncode == 1
    assert process.stderr.startswith(
        f"CommandError: The server cannot listen on 127.0.0.1:{port}: "
    )
    assert "Address already in use" in process.stderr


def test_uncollected_static_files_are_reported_once(server: PostgreSQL) -> None:
    uncollected = {"DJANGO_SETTINGS_MODULE": "tests.database.site.uncollected_settings"}
    with serving(server.url(), uncollected, workers=2) as site:
        assert ask(site.port, "/admin/login/").status == 200
        assert site.said().count("static files are not collected") == 1
        assert "No directory" not in site.said()


def test_a_dead_worker_is_replaced_while_the_others_serve(server: PostgreSQL) -> None:
    with serving(server.url(), workers=2) as site:
        killed, other = site.workers()
        with load(site.port, 8, reading("/api/tags")) as replies:
            wait_until(lambda: len(replies) > 100, "there is traffic")
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: killed not in site.workers(), "the worker is dead")
            wait_until(lambda: len(site.workers()) == 2, "the worker is replaced")
            # A client may still have a connection to the dead worker that it has not used since.
            asked = len(replies)
            wait_until(lambda: len(replies) > asked + 200, "every client has asked again")
            replaced = time.monotonic()
            wait_until(lambda: len(replies) > asked + 1000, "there is more of it")

        # Only the requests that the worker was handling, or had not accepted yet, are lost.
        assert len(failures(replies)) <= 8
        assert not failures(reply for reply in replies if reply.started > replaced)
        assert other in site.workers()
        wait_until(
            lambda: gauge(site, 'database_pool_max{database="default"}') == 16,
            "the dead worker has no gauges",
        )
        assert stop(site) == 0


def gauge(site: Application, name: str) -> float:
    lines = ask(site.port, "/metrics").content.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@repeated_if_stalled
def test_a_worker_that_starts_without_the_database_serves_livez() -> None:
    with (
        migrated() as server,
        serving(server.url(), {"DATABASE_ACQUIRE_TIMEOUT": "1"}) as site,
    ):
        server.stop("immediate")
        (worker,) = site.workers()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: ask(site.port, "/livez").status == 200, "another worker answers")

        refused = ask(site.port, "/api/tags")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert ask(site.port, "/readyz").json() == {"status": "error", "reason": "unreachable"}
        assert worker not in site.workers()

        started = server.start()
        back = wait_until(lambda: ask(site.port, "/api/tags").status == 200, "the API answers")
        ready = wait_until(lambda: ask(site.port, "/readyz").status == 200, "the server is ready")
        assert_within(back - started, 1.5)
        assert_within(ready - started, 3)


def test_workers_end_with_the_main_process(server: PostgreSQL, tmp_path: Path) -> None:
    # A killed main process cannot remove its folder, so it is below tmp_path.
    with serving(server.url(), {"TMPDIR": str(tmp_path)}, workers=2) as site:
        site.process.kill()
        site.process.wait()

        def is_down() -> bool:
            return "refused" in ask(site.port, "/livez").error

        wait_until(is_down, "the port is free again")
        wait_until(lambda: not server.sessions(), "the connections are closed")


@repeated_if_stalled
def test_the_probes_answer_in_time_when_the_database_is_frozen() -> None:
    with migrated() as server, serving(server.url()) as site:
        assert ask(site.port, "/readyz").status == 200
        server.freeze()
        frozen = time.monotonic()
        replies = []
        while time.monotonic() < frozen + 5:
            replies += [ask(site.port, path) for path in ("/livez", "/readyz", "/health")]
        thawed = server.thaw()

        late = [reply for reply in replies if reply.started > frozen + 2.5]
        assert {(reply.question.path, reply.status) for reply in late} == {
            ("/livez", 200),
            ("/readyz", 503),
            ("/health", 503),
        }
        ready = wait_until(lambda: ask(site.port, "/readyz").status == 200, "the server is ready")
        assert_within(slowest(replies), 1.5)
        assert_within(ready - thawed, 2)


def test_the_server_stays_ready_when_the_idle_connection_of_the_probe_is_ended(
    server: PostgreSQL,
) -> None:
    with serving(server.url()) as site:
        assert ask(site.port, "/readyz").status == 200
        server.terminate_sessions()
        until = time.monotonic() + 1.5  # a result of the probe is kept for a second

        while time.monotonic() < until:
            assert ask(site.port, "/readyz").status == 200


def test_a_forked_process_has_its_own_probe(server: PostgreSQL) -> None:
    process = run("-c", FORKED, DJANGO_SETTINGS_MODULE="config.settings", DATABASE_URL=server.url())

    assert process.stderr == ""
    assert process.stdout.splitlines() == ["child: None", "parent: the same session"]


def test_running_requests_complete_before_the_server_stops(server: PostgreSQL) -> None:
    written = server.log.stat().st_size
    with serving(server.url()) as site, ThreadPoolExecutor(6) as clients:
        with closed_gate(server) as gate:
            replies = in_flight(clients, site, gate)
            wait_until(lambda: pool_of(site)["in_use"] == 6, "all six requests run")
            site.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Stopping worker-1" in site.said(), "the server stops")
            gate.open()

            assert site.process.wait(20) == 0

        assert sorted(reply.result().status for reply in replies) == [200] * 4 + [201] * 2
        assert server.sessions() == []
        log = server.log.read_bytes()[written:].decode()
        assert "disconnection" in log
        assert EOF not in log
        assert server.execute("SELECT id FROM scratch ORDER BY id") == [("0",), ("1",)]


def in_flight(clients: ThreadPoolExecutor, site: Application, gate: Gate) -> "list[Future[Reply]]":
    """Two requests with an idle connection, two with a statement, two with a transaction."""
    reads = [f"/api/test/{view}?{gate.query}" for view in ("hold", "sleep")] * 2
    writes = [f"/api/test/write?id={number}&{gate.query}" for number in range(2)]
    return [
        *(clients.submit(ask, site.port, path) for path in reads),
        *(clients.submit(ask, site.port, path, "POST") for path in writes),
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@repeated_if_stalled
def test_it_serves_during_the_drain_delay_and_is_not_ready(
    server: PostgreSQL, number: signal.Signals
) -> None:
    with serving(server.url(), {"SERVER_DRAIN_DELAY": "4"}, workers=2) as site:
        assert ask(site.port, "/readyz").status == 200
        signalled = time.monotonic()
        site.process.send_signal(number)
        draining = {"status": "error", "reason": "draining"}
        drains = wait_until(lambda: ask(site.port, "/readyz").json() == draining, "it drains")
        with load(site.port, 4, reading("/api/tags")) as replies:
            while len(replies) <= 20:
                assert ask(site.port, "/readyz").json() == draining
        assert not failures(replies)

        assert site.process.wait(10) == 0
        stopped = time.monotonic()
        assert stopped - signalled > 4
        assert_within(drains - signalled, 1)
        assert_within(stopped - signalled, 7)


def test_a_second_signal_ends_the_delay_and_cuts_no_request(server: PostgreSQL) -> None:
    variables = {"SERVER_DRAIN_DELAY": "60"}
    with (
        serving(server.url(), variables) as site,
        ThreadPoolExecutor(1) as client,
        closed_gate(server) as gate,
    ):
        slow = client.submit(ask, site.port, f"/api/test/sleep?{gate.query}")
        wait_until(lambda: pool_of(site)["in_use"] == 1, "the request runs")
        site.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(site.port, "/readyz").status == 503, "the server drains")
        site.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Stopping worker-1" in site.said(), "the server stops")
        gate.open()

        assert site.process.wait(20) == 0
        assert slow.result().status == 200


@repeated_if_stalled
def test_a_request_that_takes_longer_than_the_grace_time_is_cut(server: PostgreSQL) -> None:
    with (
        serving(server.url(), {"SERVER_GRACE": "1"}) as site,
        ThreadPoolExecutor(1) as client,
    ):
        slow = client.submit(ask, site.port, "/api/test/sleep?seconds=9")
        wait_until(lambda: pool_of(site)["in_use"] == 1, "the request runs")
        signalled = time.monotonic()

        assert stop(site) == 0
        seconds = time.monotonic() - signalled
        assert slow.result().status == 0
        assert "Killing worker-1" in site.said()
        assert seconds > 1
        assert_within(seconds, 5)


def test_ctrl_c_in_a_terminal_reaches_only_the_main_process(server: PostgreSQL) -> None:
    """A terminal sends SIGINT to a whole process group; the workers are in another one."""
    with serving(server.url(), workers=2) as site:
        groups = {os.getpgid(pid) for pid in site.workers()}

        assert os.getpgid(site.process.pid) not in groups


def test_it_stops_while_its_workers_start(server: PostgreSQL) -> None:
    """With granian's handler, a worker that is loading ignores the signal for the grace time."""
    process = subprocess.Popen(  # noqa: S603 -- our own interpreter
        serve(free_port()),
        cwd=BASE_DIR,
        env=environment(DATABASE_URL=server.url(), SERVER_WORKERS="2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    next(line for line in process.stdout if "Spawning worker-1" in line)
    process.send_signal(signal.SIGTERM)
    signalled = time.monotonic()
    process.communicate()

    assert process.returncode == 0
    assert time.monotonic() - signalled < 20  # the grace time is 30 s


def test_its_folder_is_deleted_at_the_end(server: PostgreSQL, tmp_path: Path) -> None:
    with serving(server.url(), {"TMPDIR": str(tmp_path)}) as site:
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert list(folder.glob("gauge_livesum_*.db"))

        stop(site)

    assert not list(tmp_path.iterdir())


def test_only_metrics_are_deleted_from_a_configured_folder(
    server: PostgreSQL, tmp_path: Path
) -> None:
    for name in ("gauge_livesum_1.db", "draining", "a letter"):
        (tmp_path / name).touch()

    with serving(server.url(), {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}) as site:
        names = {path.name for path in tmp_path.iterdir()}
        assert ask(site.port, "/readyz").status == 200
        assert not {"gauge_livesum_1.db", "draining"} & names
        assert f"gauge_livesum_{site.workers()[0]}.db" in names

        stop(site)

    assert [path.name for path in tmp_path.iterdir()] == ["a letter"]
