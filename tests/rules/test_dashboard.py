"""The dashboard and the alerts use existing metrics, and the alerts fire when they should."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from config.settings import BASE_DIR
from database import metrics

DASHBOARD = json.loads((BASE_DIR / "docs" / "dashboard.json").read_text())
ALERTS = BASE_DIR / "docs" / "alerts.yml"
# The variables that Grafana replaces.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}

promtool = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    promtool is None, reason="promtool, which comes with Prometheus, is not installed"
)


def metric_names() -> dict[str, set[str]]:
    """The metrics of `database`, each with the names of its series."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    module = [*vars(metrics).values(), *metrics.GAUGES.values()]
    return {
        metric.name: {metric.name + suffix for suffix in suffixes[metric.type]}
        for wrapper in module
        if isinstance(wrapper, MetricWrapperBase)
        for metric in wrapper.describe()
    }


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield expression


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:database|http)_[a-z_]+", text))


def test_every_metric_in_the_dashboard_and_the_alerts_exists() -> None:
    there_are = set().union(*metric_names().values())

    assert names_in(" ".join(expressions())) <= there_are
    assert names_in(ALERTS.read_text()) <= there_are


def test_the_page_for_operators_names_only_metrics_and_alerts_that_exist() -> None:
    page = (BASE_DIR / "docs" / "operate.md").read_text().replace("database_page_link", "")
    alerts = re.findall(r"\*(Database\w+)\*", page)

    assert names_in(page) <= set().union(*metric_names().values(), metric_names())
    assert {*alerts} == {*re.findall(r"- alert: (\w+)", ALERTS.read_text())}


def test_the_dashboard_shows_every_metric() -> None:
    shown = names_in(" ".join(expressions()))

    assert [name for name, series in metric_names().items() if not series & shown] == []


def test_every_panel_has_a_unique_id_a_title_and_a_description() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]

    assert len(set(ids)) == len(ids)
    assert rows == ["Connections", "Faults", "Servers", "Statements", "HTTP"]
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["description"].endswith(".")


def run_promtool(*arguments: str | Path) -> None:
    assert promtool is not None
    process = subprocess.run(  # noqa: S603 -- found on the path
        [promtool, *arguments], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0, process.stdout + process.stderr


@needs_promtool
def test_prometheus_parses_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"expression_{number}", "expr": expression}
        for number, expression in enumerate(expressions())
    ]
    # JSON is valid YAML.
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    run_promtool("check", "rules", file)


@needs_promtool
def test_prometheus_parses_the_alerts() -> None:
    run_promtool("check", "rules", ALERTS)


STANDBY_ANSWERS = 'database_server_answers{database="default@b:1"}'
STANDBY_LAG = 'database_server_lag_seconds{database="default@b:1"}'
# Labels of alerts about one server or one database.
MORE = {
    "DatabaseServerSilent": ',database="default@b:1"',
    "DatabaseStandbyLate": ',database="default@b:1"',
    "DatabaseReadsWithoutLease": ',database="default"',
}
LEASE = 'database_lease_alive{database="default"}'
# One value every 15 s for 10 minutes: "a+bx40" starts at a and adds b 40 times.
HEALTHY = {
    "database_pool_waiting": "0+0x40",
    'database_pool_acquires_total{result="ok"}': "0+900x40",
    'database_pool_acquires_total{result="timeout"}': "7+0x40",
    'database_pool_acquires_total{result="queue_full"}': "7+0x40",
    'database_connect_errors_total{cause="refused"}': "7+0x40",
    'http_request_seconds_count{method="GET",route="api/tags$",status="503"}': "7+0x40",
    'database_pool_leaks_total{kind="held"}': "7+0x40",
    'database_pool_leaks_total{kind="dead_thread"}': "7+0x40",
    "database_hung_connections_total": "7+0x40",
    'database_server_is_primary{database="default@a:1"}': "1+0x40",
    'database_server_is_primary{database="default@b:1"}': "0+0x40",
    'database_server_answers{database="default@a:1"}': "1+0x40",
    STANDBY_ANSWERS: "1+0x40",
    'database_server_lag_seconds{database="default@a:1"}': "0+0x40",
    STANDBY_LAG: "1+0x40",
    LEASE: "1+0x40",
}
REFUSED = 'http_request_seconds_count{method="GET",route="api/tags$",status="503"}'


@needs_promtool
@pytest.mark.parametrize(
    ("changes", "alerts"),
    [
        ({}, {}),
        # A queue in only one of three samples fires no alert.
        ({"database_pool_waiting": " ".join(["0 0 3"] * 14)}, {}),
        ({"database_pool_waiting": "0+0x20 3+0x20"}, {"DatabasePoolExhausted": "warning"}),
        (
            {'database_pool_acquires_total{result="queue_full"}': "0+5x40"},
            {"DatabasePoolExhausted": "warning"},
        ),
        ({'database_connect_errors_total{cause="refused"}': "0+5x40"}, {}),
        ({REFUSED: "0+5x40"}, {}),
        (
            {'database_connect_errors_total{cause="refused"}': "0+5x40", REFUSED: "0+5x40"},
            {"DatabaseUnreachable": "critical"},
        ),
        (
            {'database_pool_leaks_total{kind="held"}': "0+0x30 1+0x10"},
            {"DatabaseConnectionsStuck": "warning"},
        ),
        (
            {"database_hung_connections_total": "0+0x30 1+0x10"},
            {"DatabaseConnectionsStuck": "warning"},
        ),
        (
            {
                'database_server_is_primary{database="default@a:1"}': "1+0x20 0+0x20",
                LEASE: "0+0x40",
            },
            {"DatabaseHasNoPrimary": "critical"},
        ),
        ({STANDBY_ANSWERS: "0+0x40", STANDBY_LAG: "0+15x40"}, {"DatabaseServerSilent": "warning"}),
        ({STANDBY_LAG: "0+15x40"}, {"DatabaseStandbyLate": "warning"}),
        ({LEASE: "0+0x40"}, {"DatabaseReadsWithoutLease": "warning"}),
    ],
)
def test_each_alert_fires_only_for_its_fault(
    tmp_path: Path, changes: dict[str, str], alerts: dict[str, str]
) -> None:
    series = HEALTHY | changes
    labels = 'job="conduit",instance="one:8000"'
    raised = [
        f'ALERTS{{alertname="{name}",alertstate="firing",{labels}{MORE.get(name, "")},'
        f'severity="{severity}"}}'
        for name, severity in alerts.items()
    ]
    test: dict[str, Any] = {
        "interval": "15s",
        "input_series": [
            {"series": with_labels(name, labels), "values": values}
            for name, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": 'ALERTS{alertstate="firing"}',
                "eval_time": "10m",
                "exp_samples": [{"labels": alert, "value": 1} for alert in raised],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(
        json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": [test]})
    )

    run_promtool("test", "rules", file)


def with_labels(series: str, labels: str) -> str:
    name, _, own = series.partition("{")
    return f"{name}{{{labels},{own or '}'}"
