from rest_framework.routers import SimpleRouter

from articles.views import ArticleViewSet, CommentViewSet, TagViewSet

router = SimpleRouter(trailing_slash=False)
router.register("articles", ArticleViewSet, basename="article")
router.register("articles/(?P<slug>[^/]+)/comments", CommentViewSet, basename="comment")
router.register("tags", TagViewSet, basename="tag")

urlpatterns = router.urls
