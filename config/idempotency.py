"""Responses to retries of a request whose first response is not stored any more."""

from django.http import HttpRequest
from django.urls import resolve
from rest_framework.response import Response
from rest_framework.viewsets import ViewSetMixin


def rebuild_response(request: HttpRequest, object_id: int) -> Response:
    """The response to a POST to this path that was successful before: the object as it is now.

    The viewset of the path has the action `rebuild`, which has no URL.
    """
    viewset: type[ViewSetMixin] = resolve(request.path_info).func.cls  # type: ignore[attr-defined]  # DRF's
    view = viewset.as_view({"post": "rebuild"}, throttle_classes=())  # it only reads
    response: Response = view(request, pk=object_id)
    response.render()
    return response
