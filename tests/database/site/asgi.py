"""The site as an ASGI application; the project itself has none."""

from django.core.asgi import get_asgi_application

application = get_asgi_application()
