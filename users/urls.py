from django.urls import path
from rest_framework.routers import SimpleRouter

from users.views import CurrentUserViewSet, RegistrationViewSet

router = SimpleRouter(trailing_slash=False)
router.register("users", RegistrationViewSet, basename="user")

urlpatterns = [
    *router.urls,
    # A router cannot make a route for a single resource without an id.
    path("user", CurrentUserViewSet.as_view({"get": "retrieve", "put": "update"})),
]
