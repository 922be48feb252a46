from functools import partial
from typing import Any

from django.http import Http404, HttpResponse
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from articles.comments import comment_of, id_of_article, write_comment
from articles.links import (
    ArticleNotFound,
    SlugInPathMixin,
    link_by_key,
    link_by_offset,
    query_string,
)
from articles.models import Article, Comment, Favorite, Tag
from articles.permissions import IsAuthorOrReadOnly
from articles.queries import (
    ArticleRow,
    article_with_id,
    article_with_slug,
    comment_with_id,
    comments_on,
    list_articles,
    list_articles_after,
    tags_most_used_first,
)
from articles.representations import article, article_in_list, comment
from articles.serializers import (
    ArticleSerializer,
    CommentSerializer,
    article_list_query,
    comment_list,
    list_query,
    tag_list,
)
from database.requests import rebuildable
from users import deletion
from users.authentication import (
    TokenRequired,
    TokenRequiredToWrite,
    authenticated_user,
    refuse_deleted_account,
)
from users.limits.throttles import RateThrottle
from users.partial_put import PartialPutMixin
from users.reads import ReadMixin
from users.viewers import ViewerMixin, rows_about_viewer, rows_for_viewer


def _first_or_404(rows: list[ArticleRow]) -> ArticleRow:
    """Raises ArticleNotFound if the list is empty."""
    if not rows:
        raise ArticleNotFound
    return rows[0]


class ArticleViewSet(
    ViewerMixin,
    SlugInPathMixin,
    ReadMixin,
    mixins.CreateModelMixin,
    PartialPutMixin[Article],
    mixins.DestroyModelMixin,
    GenericViewSet[Article],
):
    envelope = "article"
    queryset = Article.objects.visible()  # for writes; reads use queries.py
    serializer_class = ArticleSerializer
    permission_classes = (TokenRequiredToWrite, IsAuthorOrReadOnly)
    throttle_classes = (RateThrottle,)
    throttle_scope = "article"
    lookup_field = "slug"
    lookup_value_regex = "[^/]+"

    def list(self, request: Request) -> HttpResponse:
        return self._page()

    @action(detail=False)
    def feed(self, request: Request) -> HttpResponse:
        return self._page(is_feed=True)

    def retrieve(self, request: Request, slug: str) -> HttpResponse:
        return self.answer(article(self._with_slug(slug)))

    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        written = serializer.save(author=authenticated_user(request))
        response = Response(self.represent(written), status=status.HTTP_201_CREATED)
        return rebuildable(response, written.pk)

    def perform_destroy(self, instance: Article) -> None:
        deletion.delete(Article.objects.filter(pk=instance.pk))
        refuse_deleted_account(self.request)

    @action(
        detail=True,
        methods=["post"],
        permission_classes=[TokenRequired],
        throttle_scope="favorite",
    )
    def favorite(self, request: Request, slug: str) -> Response:
        row = self._with_slug(slug)
        Favorite.objects.add(authenticated_user(request), row.pk)
        return rebuildable(Response(self.represent(row)), row.pk)

    @favorite.mapping.delete
    def unfavorite(self, request: Request, slug: str) -> Response:
        row = self._with_slug(slug)
        if not Favorite.objects.remove(authenticated_user(request), row.pk):
            refuse_deleted_account(request)
        return Response(self.represent(row))

    def rebuild(self, request: Request, pk: int) -> Response:
        return Response(article(self._with_id(pk)))

    def represent(self, row: Article | ArticleRow) -> dict[str, Any]:
        """The JSON of the article as it is stored after a write."""
        return article(self._with_id(row.pk))

    def _with_id(self, pk: int) -> ArticleRow:
        return _first_or_404(article_with_id(pk=pk, viewer=self.request.user.pk))

    def _with_slug(self, slug: str) -> ArticleRow:
        return _first_or_404(rows_for_viewer(self.request, article_with_slug, slug=slug))

    def _page(self, *, is_feed: bool = False) -> HttpResponse:
        """The page for the query parameters, with the number of all matching articles. A feed needs
        a valid token."""
        request = self.request
        try:
            filters = article_list_query(query_string(request))
        except ValidationError:
            if is_feed:
                authenticated_user(request)  # 401 comes before 422
            raise
        limit, offset = filters.pop("limit"), filters.pop("offset", 0)
        key = filters.pop("before", None)
        rows_of = partial(rows_about_viewer, about="feed_of") if is_feed else rows_for_viewer
        if key is None:
            rows = rows_of(request, list_articles, **filters, limit=limit, offset=offset)
            has_next = bool(rows) and offset + len(rows) < rows[0].total
        else:
            rows = rows_of(request, list_articles_after, **filters, limit=limit, **key._asdict())
            has_next = len(rows) > limit
        if is_feed:
            filters["feed_of"] = request.user.pk
        # Every row has the total, but a page past the end of the list has no row.
        counted = rows or (list_articles(**filters, limit=1) if offset or key else [])
        count = counted[0].total if counted else 0
        shown = rows[:limit]
        return self.answer(
            {"results": [article_in_list(row) for row in shown], "count": count},
            headers=link_by_key(request, shown[-1]) if has_next else None,
        )


class CommentViewSet(
    ViewerMixin, SlugInPathMixin, ReadMixin, mixins.DestroyModelMixin, GenericViewSet[Comment]
):
    """The comments of the article whose slug is in the path."""

    envelope = "comment"
    serializer_class = CommentSerializer
    permission_classes = (TokenRequiredToWrite, IsAuthorOrReadOnly)
    throttle_classes = (RateThrottle,)
    throttle_scope = "comment"
    lookup_value_regex = "[^/]+"

    def list(self, request: Request, slug: str) -> HttpResponse:
        try:
            page = list_query(comment_list, query_string(request))
        except ValidationError:
            id_of_article(slug)  # 404 comes before 422
            raise
        rows = rows_for_viewer(request, comments_on, slug=slug, **page)
        if not rows:
            id_of_article(slug)  # 404 for an unknown article, [] for one without comments
        shown = [comment(row) for row in rows[: page["limit"]]]
        return self.answer(shown, headers=link_by_offset(request, rows, **page))

    def create(self, request: Request, slug: str) -> Response:
        article_id = id_of_article(slug)  # first, so that 404 comes before 422
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        author = authenticated_user(request)
        row = write_comment(author, article_id, **serializer.validated_data)
        return rebuildable(Response(comment(row), status=status.HTTP_201_CREATED), row.id)

    def rebuild(self, request: Request, pk: int) -> Response:
        rows = comment_with_id(pk=pk, viewer=request.user.pk)
        if not rows:
            raise Http404
        return Response(comment(rows[0]))

    def get_object(self) -> Comment:
        comment = comment_of(self.kwargs["slug"], self.kwargs["pk"])
        self.check_object_permissions(self.request, comment)
        return comment

    def perform_destroy(self, instance: Comment) -> None:
        if not instance.delete()[0]:
            refuse_deleted_account(self.request)


class TagViewSet(ReadMixin, GenericViewSet[Tag]):
    """The tags of articles. A token in the request is ignored, also if it is invalid."""

    envelope = "tag"
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def list(self, request: Request) -> HttpResponse:
        page = list_query(tag_list, query_string(request))
        rows = tags_most_used_first(**page)
        shown = [row.name for row in rows[: page["limit"]]]
        return self.answer(shown, headers=link_by_offset(request, rows, **page))
