"""The answers to reads of the API."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from rest_framework.views import APIView


class ReadMixin(APIView):
    def answer(self, data: Any, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """The answer to a successful read.

        Rendered here. DRF's Response is first made without content, and rendered after the view,
        which takes 3 % of a read.
        """
        (renderer,) = self.get_renderers()
        content = renderer.render(data, renderer.media_type, {"view": self})
        return HttpResponse(content, content_type=renderer.media_type, headers=headers)
