import re
from typing import Any

from django.db import IntegrityError
from django.http import Http404
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.generics import get_object_or_404
from rest_framework.permissions import AllowAny, IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from articles.models import Article, ArticleQuerySet, AuthoredQuerySet, Comment, Favorite, Tag
from articles.permissions import IsAuthorOrReadOnly
from articles.serializers import (
    ArticleInListSerializer,
    ArticleListQuery,
    ArticleSerializer,
    CommentSerializer,
)
from database.errors import refers_to_nothing
from users.authentication import logged_in
from users.fields import refuse_nul
from users.mixins import PutMixin


def no_article() -> NotFound:
    """For the views that are about something else: it is the article that is missing."""
    return NotFound({"article": ["not found"]})


class ArticleViewSet(
    mixins.CreateModelMixin,
    mixins.RetrieveModelMixin,
    PutMixin[Article],
    mixins.DestroyModelMixin,
    GenericViewSet[Article],
):
    envelope = "article"
    serializer_class = ArticleSerializer
    permission_classes = (IsAuthenticatedOrReadOnly, IsAuthorOrReadOnly)
    lookup_field = "slug"
    lookup_value_regex = "[^/]+"

    def get_queryset(self) -> ArticleQuerySet:
        return Article.objects.seen_by(self.request.user)

    def get_object(self) -> Article:
        refuse_nul(self.kwargs["slug"])
        return super().get_object()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self._page(Article.objects.all())

    @action(detail=False, permission_classes=[IsAuthenticated])
    def feed(self, request: Request) -> Response:
        return self._page(Article.objects.feed_of(logged_in(request)))

    def perform_create(self, serializer: BaseSerializer[Article]) -> None:
        serializer.instance = self._seen(serializer.save(author=logged_in(self.request)))

    def perform_update(self, serializer: BaseSerializer[Article]) -> None:
        serializer.instance = self._seen(serializer.save())

    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated])
    def favorite(self, request: Request, slug: str) -> Response:
        article = self.get_object()
        # Idempotent in one statement, also when two requests do it at once.
        favorite = Favorite(user=logged_in(request), article_id=article.pk)
        Favorite.objects.bulk_create([favorite], ignore_conflicts=True)
        return Response(self.get_serializer(self._seen(article)).data)

    @favorite.mapping.delete
    def unfavorite(self, request: Request, slug: str) -> Response:
        article = self.get_object()
        Favorite.objects.by(request.user).filter(article=article.pk).delete()
        return Response(self.get_serializer(self._seen(article)).data)

    def _seen(self, article: Article) -> Article:
        """The article as it is now, after a write."""
        return get_object_or_404(self.get_queryset(), pk=article.pk)

    def _page(self, articles: ArticleQuerySet) -> Response:
        """The page that the query parameters ask for, with the count of all that match."""
        query = ArticleListQuery(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        limit, offset = query.validated_data.pop("limit"), query.validated_data.pop("offset")
        articles = articles.matching(**query.validated_data)
        page = articles.seen_by(self.request.user).defer("body").newest_first()
        page = page[offset : offset + limit]
        rows = ArticleInListSerializer(page, many=True).data  # type: ignore[arg-type]  # the stubs expect one
        return Response({"results": rows, "count": articles.count()})


class CommentViewSet(
    mixins.ListModelMixin,
    mixins.CreateModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Comment],
):
    """The comments of one article, whose slug stands in the path."""

    envelope = "comment"
    serializer_class = CommentSerializer
    permission_classes = (IsAuthenticatedOrReadOnly, IsAuthorOrReadOnly)
    lookup_value_regex = "[^/]+"

    def get_queryset(self) -> AuthoredQuerySet[Comment]:
        comments = Comment.objects.filter(article=self._article_id())
        return comments.seen_by(self.request.user).newest_first()

    def get_object(self) -> Comment:
        comments = self.get_queryset()  # first: the article's 404 goes before the comment's
        # int() would take "1_000" and the digits of other scripts too.
        if not re.fullmatch("[0-9]+", self.kwargs["pk"]):
            raise Http404
        comment = get_object_or_404(comments, pk=self.kwargs["pk"])
        self.check_object_permissions(self.request, comment)
        return comment

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        article_id = self._article_id()  # first: 404 goes before 422
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            comment = serializer.save(author=logged_in(request), article_id=article_id)
        except IntegrityError as error:
            if refers_to_nothing(error):
                raise no_article() from error
            raise
        comment.following = False  # nobody follows themselves
        return Response(self.get_serializer(comment).data, status=status.HTTP_201_CREATED)

    def _article_id(self) -> int:
        try:
            refuse_nul(self.kwargs["slug"])
            return Article.objects.values_list("pk", flat=True).get(slug=self.kwargs["slug"])
        except (Http404, Article.DoesNotExist) as error:
            raise no_article() from error


class TagViewSet(mixins.ListModelMixin, GenericViewSet[Tag]):
    """Every tag that an article carries. A token, good or bad, is ignored."""

    envelope = "tag"
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(list(Tag.objects.carried().values_list("name", flat=True)))
