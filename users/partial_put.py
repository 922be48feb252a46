from typing import Any

from django.db import models
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response


class PartialPutMixin[Row: models.Model](GenericAPIView[Row]):
    """PUT keeps the fields that the body omits, like DRF's PATCH. An empty body is refused."""

    envelope: str

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()  # before the body is checked: 404 and 403 take precedence
        if request.stream is None:
            # DRF calls no parser for an empty body.
            raise ValidationError({self.envelope: [""]}, code="blank")
        serializer = self.get_serializer(row, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        return Response(self.represent(serializer.save()))

    def represent(self, row: Row) -> Any:
        """The answer to the request. `row` is already saved."""
        return self.get_serializer(row).data
