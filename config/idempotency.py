"""Answers that are built again for a request that is sent again."""

from django.http import HttpRequest
from django.urls import resolve
from rest_framework.response import Response
from rest_framework.viewsets import ViewSetMixin


def show_again(request: HttpRequest, object_id: int) -> Response:
    """The object that an earlier POST to this path has answered with, as it is now.

    Its viewset has an action `show_again`, which no URL leads to.
    """
    viewset: type[ViewSetMixin] = resolve(request.path_info).func.cls  # type: ignore[attr-defined]  # DRF's
    view = viewset.as_view({"post": "show_again"}, throttle_classes=())  # it only reads
    response: Response = view(request, pk=object_id)
    response.render()
    return response
