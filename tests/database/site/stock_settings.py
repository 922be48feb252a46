"""The test site with Django's pool and the same options, for comparison with this project's pool.

CONN_HEALTH_CHECKS is on in both, so each pings a connection before a request gets it.
"""

from tests.database.site.settings import *  # noqa: F403 -- settings are this module's names
from tests.database.site.settings import DATABASES, MIDDLEWARE

DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
# Django does not know these options.
del DATABASES["default"]["OPTIONS"]["limits"]
DATABASES["default"]["OPTIONS"]["pool"].pop("max_waiting_when_stalled", None)
# Both belong to the connection layer that is measured.
MIDDLEWARE.remove("database.requests.DatabaseMiddleware")
MIDDLEWARE.remove("database.metrics.metrics_middleware")
