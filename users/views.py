from typing import Any

from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from users.authentication import TokenRequired, authenticated_user
from users.limits.throttles import RateThrottle
from users.models import User
from users.partial_put import PartialPutMixin
from users.password_queue import password_queue
from users.serializers import LoginSerializer, RegistrationSerializer, UserSerializer


class RegistrationViewSet(mixins.CreateModelMixin, GenericViewSet[User]):
    """POST /users and POST /users/login. Both ignore a token, even an invalid one."""

    envelope = "user"
    serializer_class = RegistrationSerializer
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (RateThrottle,)
    throttle_scope = "register"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # Refuse before the request is counted, its body parsed or the database queried. A throttle
        # cannot do this: DRF runs all throttles, even after the first refuses.
        if request.method == "POST":
            password_queue.refuse_if_full()
        super().initial(request, *args, **kwargs)

    @action(detail=False, methods=["post"], throttle_scope="login")
    def login(self, request: Request) -> Response:
        credentials = LoginSerializer(data=request.data, context=self.get_serializer_context())
        credentials.is_valid(raise_exception=True)
        user = credentials.save()
        return Response(self.get_serializer(user).data, status=status.HTTP_200_OK)


class CurrentUserViewSet(mixins.RetrieveModelMixin, PartialPutMixin[User], GenericViewSet[User]):
    """GET and PUT /user."""

    envelope = "user"
    serializer_class = UserSerializer
    permission_classes = (TokenRequired,)

    def get_object(self) -> User:
        return authenticated_user(self.request)
