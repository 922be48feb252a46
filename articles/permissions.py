from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from articles.models import Authored


class IsAuthorOrReadOnly(BasePermission):
    """Only its author may change or delete what somebody wrote."""

    def has_object_permission(self, request: Request, view: APIView, obj: Authored) -> bool:
        return request.method in SAFE_METHODS or obj.author_id == request.user.pk
