from django.contrib.auth.models import AnonymousUser
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from articles.models import Authored
from users.models import User


def may_write(user: User | AnonymousUser, row: Authored) -> bool:
    """Only the author may change or delete an article or a comment."""
    return row.author_id == user.pk


class IsAuthorOrReadOnly(BasePermission):
    def has_object_permission(self, request: Request, view: APIView, obj: Authored) -> bool:
        return request.method in SAFE_METHODS or may_write(request.user, obj)
