from django.contrib import admin
from django.urls import include, path, re_path

from articles import urls as articles
from config.errors import UnknownPath
from config.home import home
from database.health import health, livez, readyz
from database.metrics import metrics
from profiles import urls as profiles
from users import urls as users

# Django tries one after the other, for each request: what is asked for most comes first, and
# in one list, because a list in a list costs another round.
api = [*articles.urlpatterns, *profiles.urlpatterns, *users.urlpatterns]

urlpatterns = [
    path("api/", include(api)),
    path("", home),
    path("health", health, name="health"),
    path("livez", livez),
    path("readyz", readyz),
    path("metrics", metrics),
    path("admin/", admin.site.urls),
    # Last, and instead of a handler: with DEBUG on, Django would answer with its own page;
    # and it would offer to redirect to the path with a slash, which loses a POST's body.
    re_path(r"^api(/|$)", UnknownPath.as_view()),
]

handler400 = "config.errors.handlers.bad_request"
handler403 = "config.errors.handlers.permission_denied"
handler404 = "config.errors.handlers.page_not_found"
handler500 = "config.errors.handlers.server_error"
