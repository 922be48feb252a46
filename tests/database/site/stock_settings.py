"""The test site on Django's own pool, with the same options: what this project's is compared to.

CONN_HEALTH_CHECKS is on in both, so each pings a connection before a request gets it.
"""

from tests.database.site.settings import *  # noqa: F403 -- settings are this module's names
from tests.database.site.settings import DATABASES, MIDDLEWARE

DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
del DATABASES["default"]["OPTIONS"]["limits"]  # the only one that Django has no use for
# Both belong to the layer that is measured.
MIDDLEWARE.remove("database.middleware.DatabaseMiddleware")
MIDDLEWARE.remove("database.metrics.measured")
