from rest_framework.routers import SimpleRouter

from tests.benchmarks.baselines.drf.views import ArticleViewSet

router = SimpleRouter(trailing_slash=False)
router.register("api/articles", ArticleViewSet, basename="article")
urlpatterns = router.urls
