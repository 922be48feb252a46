"""The test site on Django's own pool, with the same options: what this project's is compared to.

CONN_HEALTH_CHECKS is on in both, so each pings a connection before a request gets it.
"""

from tests.database.site.settings import *  # noqa: F403 -- settings are this module's names
from tests.database.site.settings import DATABASES, MIDDLEWARE

DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
# What Django has no use for.
del DATABASES["default"]["OPTIONS"]["limits"]
DATABASES["default"]["OPTIONS"]["pool"].pop("max_waiting_when_stalled", None)
# Both belong to the layer that is measured.
MIDDLEWARE.remove("database.requests.DatabaseMiddleware")
MIDDLEWARE.remove("database.metrics.metrics_middleware")
