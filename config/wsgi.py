"""The WSGI application, for granian and every other WSGI server."""

import os

from django.core.wsgi import get_wsgi_application

from database.startup import require_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
# A server without its database would take requests only to refuse them.
require_database()
