from django.contrib import admin
from django.urls import include, path, re_path

from articles import urls as articles
from config.errors.handlers import unknown_path
from config.openapi.views import docs, redoc, schema
from config.slashes import without_slash
from database.health import health, livez, readyz
from database.metrics import metrics
from profiles import urls as profiles
from users import urls as users
from website import urls as website

# Django tries these one after the other for each request, so the most frequent ones come first. It
# is one list, because a nested list costs more time.
api = [*articles.urlpatterns, *profiles.urlpatterns, *users.urlpatterns]

urlpatterns = [
    path("api/", include(api)),
    path("health", health, name="health"),
    path("livez", livez),
    path("readyz", readyz),
    path("metrics", metrics),
    path("admin/", admin.site.urls),
    path("api/schema", schema, name="schema"),
    path("api/docs", docs, name="docs"),
    path("api/redoc", redoc, name="redoc"),
    path("", include(website)),
    # The last one, and not only a handler for 404: with DEBUG on, Django would answer with its own
    # page. It would also redirect to the path with a slash, and the body of a POST would be lost.
    re_path(r"^api(/|$)", unknown_path),
    re_path(r"^([^/].*[^/])/+$", without_slash),
]

handler400 = "config.errors.handlers.bad_request"
handler403 = "config.errors.handlers.permission_denied"
handler404 = "config.errors.handlers.page_not_found"
handler500 = "config.errors.handlers.server_error"
