"""People type a slash at the end of an address."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from django.utils.encoding import iri_to_uri
from django.views.decorators.common import no_append_slash


@no_append_slash  # otherwise Django would redirect an unknown address here
def without_slash(request: HttpRequest, path: str) -> HttpResponse:
    """Redirects to the page of the site with the same address without the slash, if there is one.
    `path` does not begin with a slash: browsers would take "//" and what follows for a host."""
    try:
        is_page = resolve(f"/{path}").app_name == "website"
    except Resolver404 as error:
        raise Http404 from error
    if not is_page or request.method not in ("GET", "HEAD"):
        raise Http404
    query = request.META.get("QUERY_STRING", "")
    return redirect(iri_to_uri(f"/{path}") + (f"?{query}" if query else ""), permanent=True)
