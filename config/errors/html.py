"""The page that a browser shows for an error. It runs no query and needs no static file."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import render_to_string
from django.utils.html import escape

from config.logs import request_id

MINIMAL = "<!doctype html><title>{status}</title><h1>{sentence}</h1><p>Request {request_id}</p>"

HEADINGS = {
    400: "This request cannot be used",
    403: "You may not do this",
    404: "This page does not exist",
    405: "This cannot be done here",
    408: "The form arrived too slowly",
    409: "This is taken",
    413: "This is too large",
    422: "A value of the form cannot be used",
    429: "Too many requests",
    500: "Something went wrong",
    503: "The site is not available at the moment",
    504: "This took too long",
}
# For a status without a sentence of its own.
SENTENCES = {
    400: "The address or the form has a value that this site does not understand.",
    403: "Your account does not have the permission for it.",
    404: "The address may be wrong, or the page was deleted.",
    405: "The address exists, but not for this kind of request.",
    429: "You have sent many requests in a short time. Please wait a little.",
    500: "The error was logged, and it is not your fault.",
}
ADVICE = {
    503: "The site will be back soon. Please try again in a moment.",
    504: "Please try again in a moment.",
}
CSRF_HEADING = "This form is no longer valid"
CSRF_SENTENCE = "The form was not sent, because its check against forgery failed."
CSRF_ADVICE = (
    "Go back, reload the page and send the form again. If that does not help, allow cookies for "
    "this site. The form also becomes invalid when you log in or out in another window."
)


def error_page(
    request: HttpRequest, status: int, sentence: str = "", advice: str = "", heading: str = ""
) -> HttpResponse:
    """The page for a status. `sentence` says what happened, `advice` what to do about it."""
    sentence = sentence or SENTENCES.get(status, "")
    admin = request.path.startswith("/admin/")
    context = {
        "status": status,
        "heading": heading or HEADINGS.get(status) or HTTPStatus(status).phrase,
        "sentence": sentence,
        "advice": advice or ADVICE.get(status, ""),
        # A link repeats a GET, but not the form of a POST.
        "reload": status in ADVICE and request.method == "GET",
        "admin": admin,
        "search": status == 404 and not admin,
        "request_id": request_id(),
        "nonce": getattr(request, "_csp_nonce", ""),
    }
    try:
        # Without the request: the context processors could fail, or use the database.
        content: str = render_to_string("errors/page.html", context)
    except (TemplateDoesNotExist, TemplateSyntaxError, OSError):
        # OSError: for example, the process has too many open files.
        content = MINIMAL.format(status=status, sentence=escape(sentence), request_id=request_id())
    # A proxy may otherwise keep a 404 or 405 (RFC 9110, section 15.1), also after the page exists.
    return HttpResponse(content, status=status, headers={"Cache-Control": "private, no-cache"})
