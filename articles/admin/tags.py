from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Sum
from django.http import HttpRequest
from unfold.contrib.filters.admin import RadioFilter

from articles.counts import CountKind, Tally, stored_count
from articles.models import Tag
from users.admin_base import ModelAdmin


class HasArticlesFilter(RadioFilter):
    title = "has articles"
    parameter_name = "has_articles"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Tag]) -> QuerySet[Tag]:
        # All counts are read at once. The sum of the count of each tag would be a query for each.
        counts = Tally.objects.filter(counted=CountKind.ARTICLES_OF_TAG).values("key")
        used = counts.annotate(total=Sum("count")).filter(total__gt=0).values("key")
        match self.value():
            case "yes":
                return queryset.filter(pk__in=used)
            case "no":
                return queryset.exclude(pk__in=used)
        return queryset


@admin.register(Tag)
class TagAdmin(ModelAdmin):
    list_display = ("name", "count", "related")
    list_filter = (HasArticlesFilter,)
    search_fields = ("name",)
    search_help_text = "Any part of the name"
    sort_columns = ("name", "articles_count")
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        tags: QuerySet[Tag] = super().get_queryset(request)
        count = stored_count(CountKind.ARTICLES_OF_TAG, OuterRef("pk"))
        return tags.annotate(articles_count=count)

    # Not "articles": the model has a relation of this name, and Django would show it.
    @admin.display(description="articles", ordering="articles_count")
    def count(self, tag: Any) -> int:
        return int(tag.articles_count)
