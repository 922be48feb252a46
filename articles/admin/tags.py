from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Sum
from django.http import HttpRequest
from unfold.contrib.filters.admin import RadioFilter

from articles.admin.tag_actions import IN_BACKGROUND, Merge, TagForm
from articles.counts import CountKind, Tally, stored_count
from articles.models import Tag
from articles.tag_merges import rename_tag
from users.admin_base import ModelAdmin
from users.audit import Action


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
    form = TagForm
    actions = (Merge(),)
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

    def has_merge_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("articles.merge_tag"))

    def get_readonly_fields(self, request: HttpRequest, obj: Tag | None = None) -> tuple[str, ...]:
        return () if obj is None or self.has_merge_permission(request) else ("name",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not (change and "name" in form.changed_data):
            super().save_model(request, obj, form, change)
        elif not rename_tag(obj, obj.name):
            self.message_user(request, f"“{obj.name}” is the new name.{IN_BACKGROUND}")

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        if add or not form.changed_data:
            return super().construct_change_message(request, form, formsets, add)
        return f"From “{form.initial['name']}” to “{form.cleaned_data['name']}”."

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        if not isinstance(message, str):
            return super().log_change(request, obj, message)
        tag = Tag.objects.filter(pk=obj.pk)
        return self.log_rows(request, tag, Action.RENAME, details=message)

    # Not "articles": the model has a relation of this name, and Django would show it.
    @admin.display(description="articles", ordering="articles_count")
    def count(self, tag: Any) -> int:
        return int(tag.articles_count)
