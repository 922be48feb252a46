"""The metrics, and their sum over all processes of a server."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from database.metrics import histogram
from database.metrics.histogram import Histogram
from database.metrics.processes import AllProcesses
from tests.client import ApiClient
from tests.database.servers import wait_until
from tests.processes import Server, database_url, serving

BUCKETS = (0.001, 0.1, 1)


def requests(method: str, route: str, status: int) -> float:
    """The number of requests counted in this process."""
    histogram.flush()
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_request_seconds_count", labels) or 0


def test_requests_are_counted_by_method_route_and_status(client: ApiClient) -> None:
    read, refused = requests("GET", "livez", 200), requests("POST", "livez", 405)

    client.get("/livez")
    client.get("/livez")
    client.post("/livez")

    assert requests("GET", "livez", 200) == read + 2
    assert requests("POST", "livez", 405) == refused + 1


def test_no_client_can_create_a_series(client: ApiClient) -> None:
    unknown, brewed = requests("GET", "unrouted", 404), requests("other", "unrouted", 404)

    for path in ("/one", "/two?three", "/four/five", "/static/nothing.css"):
        client.get(path)
    client.generic("BREW", "/coffee")

    assert requests("GET", "unrouted", 404) == unknown + 4
    assert requests("other", "unrouted", 404) == brewed + 1


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("database_pool_acquires_total", "result", ["ok", "timeout", "queue_full", "closed"]),
        ("database_pool_leaks_total", "kind", ["held", "dead_thread"]),
    ],
)
def test_every_series_exists_before_its_first_event(
    name: str, label: str, values: list[str]
) -> None:
    for value in values:
        labels = {"database": "default", label: value}
        assert REGISTRY.get_sample_value(name, labels) is not None


def test_deferred_observations_are_counted_like_immediate_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    amounts = [0.0, 0.0005, 0.001, 0.0011, 0.1, 0.5, 0.5, 1.0, 60.0]
    immediate = CollectorRegistry()
    deferred = CollectorRegistry()
    theirs = prometheus_client.Histogram("it", "It", ["who"], registry=immediate, buckets=BUCKETS)
    ours = Histogram("it", "It", ["who"], registry=deferred, buckets=BUCKETS)
    monkeypatch.setattr(histogram, "_is_buffering", True)

    for amount in amounts:
        theirs.labels("alice").observe(amount)
        ours.labels("alice").observe(amount)

    assert deferred.get_sample_value("it_count", {"who": "alice"}) == 0
    histogram.flush()
    histogram.flush()
    assert samples(deferred) == samples(immediate)


def test_observations_are_immediate_without_a_flushing_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = CollectorRegistry()
    ours = Histogram("it", "It", registry=registry, buckets=BUCKETS)
    monkeypatch.setattr(histogram, "_is_buffering", False)

    ours.observe(0.5)

    assert registry.get_sample_value("it_count") == 1


def samples(registry: CollectorRegistry) -> list[tuple[str, dict[str, str], float]]:
    return [
        (sample.name, sample.labels, round(sample.value, 9))
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    ]


def figure(page: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for metric in text_string_to_metric_families(page)
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


class Scraped(Server):
    """A server with two processes, which write their metrics to a folder."""

    def __init__(self, port: int, folder: Path) -> None:
        super().__init__(port)
        self.folder = folder

    def page(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def figure(self, name: str, **labels: str) -> float:
        """The sum of all series with these labels."""
        return figure(self.page(), name, **labels)

    def count(self) -> float:
        """The number of requests for tags that are counted."""
        labels = {"method": "GET", "route": "api/tags$", "status": "200"}
        return self.figure("http_request_seconds_count", **labels)

    def processes(self, kind: str = "gauge_livesum") -> set[int]:
        return {int(file.stem.rpartition("_")[2]) for file in self.folder.glob(f"{kind}_*.db")}

    def busy(self) -> set[int]:
        """The ids of the processes that have answered a request for tags."""
        found = set()
        for pid in self.processes("histogram"):
            route = b'"route": "api/tags$"'
            if route in (self.folder / f"histogram_{pid}.db").read_bytes():
                found.add(pid)
        return found


@contextmanager
def two_processes(folder: Path) -> Iterator[Scraped]:
    def command(port: int) -> list[str]:
        application = ["config.wsgi.application", "--port", str(port), "--workers", "2"]
        return [sys.executable, "-m", "database.server", *application]

    variables = {"DATABASE_URL": database_url(), "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    variables["DJANGO_SETTINGS_MODULE"] = "config.settings"
    with serving(command, **variables) as server:
        yield Scraped(server.port, folder)


def ask_until(server: Scraped, processes: int) -> int:
    """Request the tags until `processes` processes have answered; return the number of answers."""
    asked = 0

    def enough_have_answered() -> bool:
        nonlocal asked
        with suppress(ConnectionError):  # the killed process had accepted the request
            assert server.call("GET", "/api/tags").status == 200
            asked += 1
        return len(server.busy()) >= processes

    wait_until(enough_have_answered, f"{processes} processes answer")
    return asked


@pytest.mark.django_db(transaction=True)
def test_all_processes_are_counted_together_including_dead_ones(
    tmp_path: Path,
) -> None:
    with two_processes(tmp_path) as server:
        asked = ask_until(server, processes=2)
        wait_until(lambda: server.count() == asked, f"{asked} requests are counted")
        wait_until(lambda: server.figure("database_pool_max") == 16, "both pools are counted")

        def all_uses_are_counted() -> bool:
            page = server.page()
            uses = figure(page, "database_pool_use_seconds_count")
            assert uses < asked + 10
            # Each process reads the queue of deletions once, and again after 30 s.
            return (
                figure(page, "database_pool_acquires_total", result="ok")
                == figure(page, "database_pool_wait_seconds_count")
                == uses
                >= asked + 2
            )

        wait_until(all_uses_are_counted, "all uses are counted")
        assert server.figure("database_pool_in_use") == 0
        assert lint(server.page()) == ""

        killed = min(server.processes())
        os.kill(killed, signal.SIGKILL)
        # A new worker that has answered also reacts to SIGTERM.
        asked += ask_until(server, processes=3)

        wait_until(lambda: server.count() == asked, f"{asked} requests are counted")
        wait_until(
            lambda: server.figure("database_pool_max") == 16, "the dead process is not counted"
        )
        assert killed not in server.processes()
        assert killed in server.processes("counter")


def test_the_empty_file_of_a_starting_process_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "histogram_1.db").touch()

    assert not list(AllProcesses(tmp_path).collect())


def lint(page: str) -> str:
    """The findings of promtool on the page; "" if promtool is not installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        return ""
    check = subprocess.run(  # noqa: S603 -- found on the path
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=20
    )
    return check.stdout + check.stderr
