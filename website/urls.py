from django.urls import path

from website.views import lists

app_name = "website"

urlpatterns = [
    path("", lists.home, name="home"),
    # A tag may contain a slash.
    path("tag/<path:tag>", lists.tag, name="tag"),
]
