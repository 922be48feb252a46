"""Health checks for people, process supervisors and load balancers."""

from database.health.direct import answer_probe
from database.health.middleware import PATHS, CommonMiddleware
from database.health.probes import close_probes
from database.health.views import health, livez, readyz

__all__ = ["PATHS", "CommonMiddleware", "answer_probe", "close_probes", "health", "livez", "readyz"]
