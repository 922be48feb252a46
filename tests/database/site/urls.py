from django.urls import path

from config.urls import handler400, handler403, handler404, handler500, urlpatterns
from tests.database.site import views

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    path("api/test/select-1", views.select_1),
    path("api/test/echo", views.echo),
    path("api/test/hold", views.hold),
    path("api/test/sleep", views.sleep),
    path("api/test/write", views.write),
    path("api/test/thread-dies", views.thread_dies),
    path("api/test/state", views.state),
    path("api/test/set-state", views.set_state),
    path("api/test/iterate", views.iterate),
    path("api/test/stream", views.stream),
    *urlpatterns,
]
