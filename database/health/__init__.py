"""Health checks for people, process supervisors and load balancers, and the data of the page about
the pool."""

from database.health.activity import Activity, Client
from database.health.capacity import shortage
from database.health.direct import answer_probe
from database.health.machine import Database, Machine, Quantile, Restart, Worker, machine
from database.health.middleware import PATHS, CommonMiddleware
from database.health.probes import close_probes, probe
from database.health.report import reporter
from database.health.views import health, livez, readyz

__all__ = [
    "PATHS",
    "Activity",
    "Client",
    "CommonMiddleware",
    "Database",
    "Machine",
    "Quantile",
    "Restart",
    "Worker",
    "answer_probe",
    "close_probes",
    "health",
    "livez",
    "machine",
    "probe",
    "readyz",
    "reporter",
    "shortage",
]
