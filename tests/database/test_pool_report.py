"""What each process reports about its pool, and how the reports of all processes are added up."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from database import rundir
from database.backend import ServerState, longest_held
from database.backend.outages import Outage
from database.health import Worker, machine
from database.health.processes import add_up
from database.health.report import KEPT, MAX_SIZE, Reporter, _delete_old_reports
from database.health.workers import parse
from database.metrics import (
    REFUSALS,
    SECONDS,
    History,
    PoolState,
    bucket_of_quantile,
    outages,
    parse_second,
    slow_statements,
)
from database.metrics.events import MAX_CAUSES, MAX_STATEMENTS, SlowStatements
from database.metrics.figures import ACQUIRES, WAIT, WAIT_BOUNDS
from database.metrics.redaction import without_values
from tests.database.pools import MakePool

STATE = PoolState(in_use=3, idle=5, waiting=2, max=8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the processes of a server share."""
    monkeypatch.setenv(rundir.VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SELECT 1.5e3, -2 FROM t2 WHERE a1 = $1", "SELECT ?, -? FROM t2 WHERE a1 = $1"),
        ("SELECT 'it''s', E'a\\'b', $$secret$$", "SELECT ?, …"),
        ("SELECT $tag$ secret $$ $tag$ + U&'x' + B'01'", "SELECT ? + ? + ?"),
        ('SELECT "a""1" FROM "t 2"', 'SELECT "a""1" FROM "t 2"'),
        ("a IN (%s, %s,%s) OR b IN (1, 2)", "a IN (%s, …) OR b IN (?, …)"),
        ("SELECT a -- secret\nFROM t /* secret */ WHERE b", "SELECT a FROM t WHERE b"),
        ("SELECT 'the end is cut off", "SELECT ?"),
        ("SELECT $$the end is cut off", "SELECT ?"),
        (r"SELECT E'the end is cut off\'", "SELECT ?"),
        ("SELECT '-- no comment' AND a", "SELECT ? AND a"),
    ],
)
def test_the_text_of_a_statement_has_no_values(statement: str, text: str) -> None:
    assert without_values(statement, 100) == text


def test_the_text_of_a_statement_is_bounded() -> None:
    assert without_values("SELECT " + "a" * 100_000, 20) == "SELECT " + "a" * 12 + "…"
    started = time.process_time()
    for statement in ("'" * 100_000, "$a" * 50_000, "/*" * 50_000, '"' * 99_999, "1, " * 50_000):
        without_values(statement, 20)
    assert time.process_time() - started < 1


def test_slow_statements_are_counted_by_text_and_the_oldest_ones_dropped() -> None:
    statements = SlowStatements()
    statements.note("default", "SELECT 1", 0.5, "GET 'one'")
    statements.note("default", "SELECT 2", 0.3, "GET 'two'")

    (statement,) = statements.list()
    assert (statement.text, statement.count) == ("SELECT ?", 2)
    assert (statement.longest, statement.last, statement.route) == (0.5, 0.3, "GET 'two'")

    for number in range(MAX_STATEMENTS):
        statements.note("default", f"SELECT a{number}", 0.3, "")
    assert len(statements.list()) == MAX_STATEMENTS
    assert "SELECT ?" not in [statement.text for statement in statements.list()]


def test_a_slow_statement_is_noted_without_its_values(make_pool: MakePool) -> None:
    slow_statements.clear()
    pool = make_pool()
    with pool.connection() as session:
        session.execute("SELECT pg_sleep(0.21), 'secret'")
        session.execute(psycopg.sql.SQL("SELECT pg_sleep(0.21), {}, 1").format("it's secret"))

    texts = {statement.text: statement.count for statement in slow_statements.list()}
    assert texts == {"SELECT pg_sleep(?), ?": 1, "SELECT pg_sleep(?), ?, …": 1}


def test_an_outage_is_noted_with_its_causes_and_its_length() -> None:
    outages.clear()
    outage = Outage("default")
    for number in range(MAX_CAUSES + 1):
        outage.failed(psycopg.OperationalError(f"refused {number}"))
        outage.failed(psycopg.OperationalError(f"refused {number}"))
    (past,) = outages
    assert past.ended_at is None

    outage.ended()
    outage.ended()

    assert past.causes == [f"refused {number}" for number in range(MAX_CAUSES)]
    assert past.ended_at
    assert 0 <= past.ended_at - past.began_at < 1
    outage.failed(psycopg.OperationalError("again"))
    assert [each.ended_at for each in outages] == [past.ended_at, None]


def test_each_second_has_the_events_since_the_one_before() -> None:
    history = History()  # of a database that no other test uses
    history.add({"counted": STATE}, 100.9)
    for result in (*REFUSALS, REFUSALS[1]):
        ACQUIRES.labels("counted", result).inc()
    for seconds in (0.0005, 0.0015, 0.0015):
        WAIT.labels("counted").observe(seconds)
        WAIT.labels("counted").flush()
    history.add({"counted": STATE}, 101.9)

    first, second = (parse_second(json.loads(line)) for line in history.lines)

    assert (first[0], second[0]) == (100, 101)
    assert first[1]["counted"].refused == (0, 0)
    assert second[1]["counted"] == (STATE, (1, 2), [1, 2])


def test_the_history_and_the_report_are_bounded() -> None:
    reporter = Reporter()
    for second in range(SECONDS + 10):
        reporter._history.add({"default": STATE}, second)
    assert len(reporter._history.lines) == SECONDS
    reporter._history.lines.extend([b"[1,{}]" + b" " * 1_000] * SECONDS)

    report = reporter.report()

    assert len(report) <= MAX_SIZE
    assert parse(report, 0)


@pytest.mark.parametrize(
    ("counts", "quantile", "bounds"),
    [
        ([], 0.5, None),
        ([0, 0], 0.5, None),
        ([10], 0.99, (0, 0.001)),
        ([50, 50], 0.5, (0, 0.001)),
        ([49, 51], 0.5, (0.001, 0.002)),
        ([99, 0, 1], 0.99, (0, 0.001)),
        ([98, 0, 2], 0.99, (0.002, 0.005)),
        ([0] * len(WAIT_BOUNDS) + [1], 0.5, (5, None)),
    ],
)
def test_a_quantile_lies_between_two_bounds_of_the_histogram(
    counts: list[int], quantile: float, bounds: tuple[float, float | None] | None
) -> None:
    assert bucket_of_quantile(counts, quantile) == bounds


def test_a_reader_never_sees_a_part_of_a_file(folder: Path) -> None:
    done = threading.Event()

    def write() -> None:
        for number in range(200):
            rundir.write("other-1.jsonl", str(number % 10).encode() * 200_000)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while not done.is_set():
        for file in rundir.read("other-*.jsonl"):
            assert len(file.content) == 200_000
            assert len(set(file.content)) == 1
            seen += 1
    thread.join()

    assert seen
    assert [path.name for path in folder.glob("other-*")] == ["other-1.jsonl"]


def test_only_the_user_of_the_server_may_read_the_files(folder: Path) -> None:
    os.environ[rundir.VARIABLE] = str(folder / "new")
    rundir.make()
    rundir.write("report-1.jsonl", b"")

    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "new/report-1.jsonl").stat().st_mode) == 0o600
    rundir.remove()
    assert not (folder / "new").exists()


def test_links_large_files_and_pipes_are_not_read(folder: Path) -> None:
    (folder / "elsewhere").write_text("secret")
    (folder / "other-1").symlink_to(folder / "elsewhere")
    (folder / "other-2").write_bytes(b" " * (rundir.MAX_SIZE + 1))
    os.mkfifo(folder / "other-3")
    (folder / "other-4").write_bytes(b"4")

    assert [file.content for file in rundir.read("other-*")] == [b"4"]


def test_files_of_other_users_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other-1").write_bytes(b"1")
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)

    assert [*rundir.read("other-*")] == []


def test_reports_of_processes_that_ended_long_ago_are_deleted(folder: Path) -> None:
    for age in range(KEPT + 5):
        rundir.write(f"report-{age}.jsonl", b"")
        os.utime(folder / f"report-{age}.jsonl", (0, time.time() - 3_600 * age))

    _delete_old_reports()

    numbers = {*range(KEPT + 5)}
    assert {n for n in numbers if (folder / f"report-{n}.jsonl").exists()} == {*range(KEPT + 1)}


def report(pid: int, *, seconds: int = 3, **changes: Any) -> bytes:
    """A report of a process that has run for some seconds until now."""
    head = {
        "pid": pid,
        "started_at": 0,
        "has_ended": False,
        "sessions": [],
        "held": [],
        "slow": [],
        "outages": [],
        "servers": {},
    }
    now = int(time.time())
    second = [*STATE, [1, 2], [3, 4]]
    lines = [[now - ago, {"default": second}] for ago in range(seconds, 0, -1)]
    return b"\n".join(json.dumps(line).encode() for line in (head | changes, *lines))


def workers_of(*contents: bytes) -> list[Worker]:
    for number, content in enumerate(contents):
        rundir.write(f"report-{number}.jsonl", content)
    return [worker for worker in machine().workers if worker.pid != os.getpid()]


def test_malformed_reports_are_ignored(folder: Path) -> None:
    whole = report(os.getppid())
    broken = [b"", b"{}", b"[]", b"null", b"\xff", whole[:-5], b"[" * 100_000, b'{"pid": "x"}']

    assert [worker.pid for worker in workers_of(whole, *broken)] == [os.getppid()]


def test_the_figures_of_all_processes_are_added_up() -> None:
    now = time.time()
    workers = [parse(report(pid), now) for pid in (1, 2, 3)]

    (database,) = add_up([worker for worker in workers if worker], now).databases

    assert database.now == PoolState(in_use=9, idle=15, waiting=6, max=24)
    assert database.states[-1] == database.now
    assert database.states[-4:-3] == [None]
    assert [sum(column) for column in zip(*database.refused, strict=True)] == [9, 18]
    assert {wait.taken for wait in database.waits} == {63}
    assert database.waits[0].bounds == (0.001, 0.002)


def test_a_server_is_shown_with_the_largest_lag_that_a_process_sees() -> None:
    def seen(answers: bool, lag: int) -> dict[str, Any]:
        state = ServerState("a:1", "standby", answers, "1/0/5000028", lag, lag / 100)
        return {"default@a:1": asdict(state)}

    workers = [
        parse(report(1, servers=seen(True, 300)), 10.0),
        parse(report(2, servers=seen(False, 700)), 9.0),
        parse(report(3), 8.0),
    ]

    (server,) = add_up([worker for worker in workers if worker], 10.0).servers

    assert (server.alias, server.state.name) == ("default@a:1", "a:1")
    assert (server.answers, server.processes) == (1, 2)
    assert (server.state.lag_bytes, server.state.lag_seconds) == (700, 7.0)


def test_a_process_that_was_killed_has_ended_and_holds_nothing(folder: Path, dead: int) -> None:
    held = [{"database": "default", "seconds": 1, "lines": ["a.py:1 in b"], "route": ""}]
    rundir.write(rundir.EXITS, json.dumps([{"pid": dead, "at": 5, "status": -9}]).encode())

    (worker,) = workers_of(report(dead, held=held))
    whole = machine()

    assert worker.state == "ended"
    assert dead not in [worker.pid for worker in whole.running]
    assert dead not in [each["pid"] for each in whole.held]
    (restart,) = whole.restarts
    assert (restart.pid, restart.at, restart.started_at, restart.status) == (dead, 5, 0, -9)


def test_a_process_that_does_not_report_is_silent(folder: Path) -> None:
    workers_of(report(os.getppid()))
    os.utime(folder / "report-0.jsonl", (0, time.time() - 10))

    (worker,) = (worker for worker in machine().workers if worker.pid == os.getppid())
    assert worker.state == "silent"


def test_outages_that_overlap_are_one() -> None:
    def outage(began_at: float, ended_at: float | None, *causes: str) -> dict[str, Any]:
        return {
            "database": "default",
            "began_at": began_at,
            "ended_at": ended_at,
            "causes": [*causes],
        }

    one = [outage(10, 20, "refused"), outage(50, None, "timeout")]
    two = [outage(11, 21, "refused", "starting"), outage(30, 31, "refused")]
    workers = [parse(report(1, outages=one), 60), parse(report(2, outages=two), 60)]

    found = [
        (each["began_at"], each["ended_at"], each["causes"], each["processes"])
        for each in add_up([worker for worker in workers if worker], 60).outages
    ]

    assert found == [
        (50, None, ["timeout"], 1),
        (30, 31, ["refused"], 1),
        (10, 21, ["refused", "starting"], 2),
    ]


@pytest.fixture
def _without_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rundir.VARIABLE, raising=False)


@pytest.mark.usefixtures("_without_folder", "db")
def test_only_this_process_is_shown_without_a_folder() -> None:
    whole = machine()

    assert whole.is_alone
    assert [worker.pid for worker in whole.workers] == [os.getpid()]
    assert whole.restarts == []


@pytest.fixture
def own_connection(transactional_db: None) -> Iterator[None]:
    connection.close()
    yield
    connection.close()


@pytest.mark.usefixtures("own_connection")
def test_a_held_connection_has_the_line_of_the_application() -> None:
    connection.ensure_connection()  # this line takes it
    time.sleep(0.15)

    (held,) = longest_held()

    assert held.seconds >= 0.1
    assert held.lines[0].startswith("tests/database/test_pool_report.py:")
    assert held.lines[0].endswith("in test_a_held_connection_has_the_line_of_the_application")
    assert held.thread == threading.current_thread().name
