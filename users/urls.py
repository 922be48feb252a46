from django.urls import path
from rest_framework.routers import SimpleRouter

from users.views import CurrentUserViewSet, RegistrationViewSet

router = SimpleRouter(trailing_slash=False)
router.register("users", RegistrationViewSet, basename="user")

urlpatterns = [
    *router.urls,
    # One resource without a list or an id: a shape that routers don't know.
    path("user", CurrentUserViewSet.as_view({"get": "retrieve", "put": "update"})),
]
