from typing import Any

from django.db import models
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response


class PartialPutMixin[Row: models.Model](GenericAPIView[Row]):
    """PUT as this API means it: what the body leaves out stays as it is, so that DRF's
    PATCH is what answers; but there is a body."""

    envelope: str

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()  # first: 404 and 403 go before 422
        if request.stream is None:
            # DRF asks no parser about an empty body.
            raise ValidationError({self.envelope: [""]}, code="blank")
        serializer = self.get_serializer(row, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        return Response(self.represent(serializer.save()))

    def represent(self, row: Row) -> Any:
        """What the answer says of the row, which has been written."""
        return self.get_serializer(row).data
