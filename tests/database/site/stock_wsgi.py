"""What `django-admin startproject` calls wsgi.py, for the settings beside it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.database.site.stock_settings"

application = get_wsgi_application()
