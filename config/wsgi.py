"""The WSGI application, for granian and every other WSGI server."""

import os
from collections.abc import Iterable
from io import BytesIO
from wsgiref.types import StartResponse, WSGIEnvironment

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from database.startup import require_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django = get_wsgi_application()
# A server without its database would take requests only to refuse them.
require_database()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Django, for clients that send a body in chunks too, without saying how long it is.

    Django reads as much as CONTENT_LENGTH says and takes such a body for an empty one.
    A server that marks the end of the input lets it be measured; of any other, Django's
    runserver among them, this asks for the length (RFC 9112, section 6.3).
    """
    if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH"):
        if not environ.get("wsgi.input_terminated"):
            # Without a length of its own, so that runserver closes the connection: what
            # follows on it is the body.
            start_response("411 Length Required", [("Content-Type", "application/json")])
            return [b'{"errors":{"body":["needs a Content-Length"]}}']
        # One byte too many is enough to be refused for.
        content = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        environ |= {"wsgi.input": BytesIO(content), "CONTENT_LENGTH": str(len(content))}
    return django(environ, start_response)
