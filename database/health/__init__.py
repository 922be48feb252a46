"""Whether the server is healthy: for people, for process supervisors, for load balancers."""

from database.health.probe import probe
from database.health.views import PATHS, CommonMiddleware, health, livez, readyz

__all__ = ["PATHS", "CommonMiddleware", "health", "livez", "probe", "readyz"]
