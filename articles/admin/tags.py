from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest

from articles.counts import CountKind, stored_count
from articles.models import Tag
from users.admin_base import ModelAdmin


class HasArticlesFilter(admin.SimpleListFilter):
    title = "has articles"
    parameter_name = "has_articles"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Tag]) -> QuerySet[Tag]:
        match self.value():
            case "yes":
                return queryset.filter(articles_count__gt=0)  # type: ignore[misc]  # by TagAdmin
            case "no":
                return queryset.filter(articles_count=0)  # type: ignore[misc]  # by TagAdmin
        return queryset


@admin.register(Tag)
class TagAdmin(ModelAdmin):
    list_display = ("name", "count", "related")
    list_filter = (HasArticlesFilter,)
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        tags: QuerySet[Tag] = super().get_queryset(request)
        count = stored_count(CountKind.ARTICLES_OF_TAG, OuterRef("pk"))
        return tags.annotate(articles_count=count)

    # Not "articles": the model has a relation of this name, and Django would show it.
    @admin.display(description="articles", ordering="articles_count")
    def count(self, tag: Any) -> int:
        return int(tag.articles_count)
