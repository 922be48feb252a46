"""Whether the server is healthy: for people, for process supervisors, for load balancers."""

from database.health.middleware import PATHS, CommonMiddleware
from database.health.probes import probe
from database.health.views import health, livez, readyz

__all__ = ["PATHS", "CommonMiddleware", "health", "livez", "probe", "readyz"]
