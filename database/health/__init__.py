"""Health checks for people, process supervisors and load balancers, and the data of the pool
page."""

from database.health.activity import Activity, Client, read_activity
from database.health.direct import answer_probe
from database.health.limits import Capacity, capacity
from database.health.middleware import PATHS, CommonMiddleware
from database.health.probes import close_probes, probe
from database.health.processes import (
    Database,
    Machine,
    Quantile,
    Restart,
    Server,
    machine,
)
from database.health.report import reporter
from database.health.views import health, livez, readyz
from database.health.workers import Worker

__all__ = [
    "PATHS",
    "Activity",
    "Capacity",
    "Client",
    "CommonMiddleware",
    "Database",
    "Machine",
    "Quantile",
    "Restart",
    "Server",
    "Worker",
    "answer_probe",
    "capacity",
    "close_probes",
    "health",
    "livez",
    "machine",
    "probe",
    "read_activity",
    "readyz",
    "reporter",
]
