from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from articles.models import Authored


class IsAuthorOrReadOnly(BasePermission):
    """Only the author may change or delete an article or a comment."""

    def has_object_permission(self, request: Request, view: APIView, obj: Authored) -> bool:
        return request.method in SAFE_METHODS or obj.author_id == request.user.pk
