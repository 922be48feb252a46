"""The wsgi.py of `django-admin startproject`, with `stock_settings`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.database.site.stock_settings"

application = get_wsgi_application()
