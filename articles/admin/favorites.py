from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from articles.models import Article, Favorite
from users.admin_base import NEWEST_FIRST, ModelAdmin, RelationFilter
from users.models import User
from users.names import MAX_INPUT_LENGTH, fold

NEWEST_ARTICLE_FIRST = ("-article_created_at", "-article_id")


@admin.register(Favorite)
class FavoriteAdmin(ModelAdmin):
    list_display = ("__str__", "user", "article", "created_at")
    list_columns = ("created_at", "user__username", "article__title")
    name_columns = ("user__username", "article__title")
    linked_by = {"user": "favorites", "article": "favorites"}
    list_filter = (("user", RelationFilter), ("article", RelationFilter))
    search_fields = ("user__username", "article__slug")
    search_help_text = "The name of a user, or the slug of an article"
    autocomplete_fields = ("user", "article")
    readonly_fields = ("created_at",)

    def get_ordering(self, request: HttpRequest) -> Any:
        if request.GET.get("user__id__exact"):
            return NEWEST_ARTICLE_FIRST
        return NEWEST_FIRST if request.GET.get("article__id__exact") else ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Favorite], search_term: str
    ) -> tuple[QuerySet[Favorite], bool]:
        name = search_term.strip()[:MAX_INPUT_LENGTH]
        if not name:
            return queryset, False
        users = [*User.objects.filter(username_folded=fold(name)).values_list("pk", flat=True)]
        articles = [*Article.objects.filter(slug=name).values_list("pk", flat=True)]
        if users and not articles:
            return queryset.filter(user__in=users).order_by(*NEWEST_ARTICLE_FIRST), False
        either = Q(user__in=users) | Q(article__in=articles)
        return queryset.filter(either).order_by(*NEWEST_FIRST), False
