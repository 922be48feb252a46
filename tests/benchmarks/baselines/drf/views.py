# mypy: disable-error-code="attr-defined, no-any-return"
# The mypy plugin knows only the models of the project's settings.

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from rest_framework import mixins
from rest_framework.viewsets import GenericViewSet

from tests.benchmarks.baselines.drf.models import Article, Favorite, Follow
from tests.benchmarks.baselines.drf.serializers import ArticleSerializer


class ArticleViewSet(mixins.ListModelMixin, GenericViewSet[Article]):
    serializer_class = ArticleSerializer

    def get_queryset(self) -> QuerySet[Article]:
        viewer = self.request.user and self.request.user.pk
        favorites = Favorite.objects.filter(article=OuterRef("pk"))
        likes = favorites.values("article").annotate(count=Count("pk")).values("count")
        follows = Follow.objects.filter(follower=viewer, followed=OuterRef("author"))
        return (
            Article.objects.select_related("author")
            .prefetch_related("tags")
            .defer("body")
            .annotate(
                favorited=Exists(favorites.filter(user=viewer)),
                favorites_count=Coalesce(Subquery(likes), 0),
                following=Exists(follows),
            )
            .order_by("-created_at", "-id")
        )
