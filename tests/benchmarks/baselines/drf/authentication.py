# mypy: disable-error-code="attr-defined, no-any-return"
# The mypy plugin knows only the models of the project's settings.

import jwt
from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tests.benchmarks.baselines.drf.models import User


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, str] | None:
        token = request.headers.get("Authorization", "").partition(" ")[2]
        if not token:
            return None
        try:
            claims = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])
            user = User.objects.get(pk=claims["sub"], is_active=True)
        except (jwt.InvalidTokenError, User.DoesNotExist) as error:
            raise AuthenticationFailed from error
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return "Token"
