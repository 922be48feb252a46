"""The site as an ASGI application; the project has only a WSGI application."""

from django.core.asgi import get_asgi_application

application = get_asgi_application()
