from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils.html import format_html

from articles.admin.finding import SearchAdmin, StateFilter
from articles.admin.markdown import MarkdownAdmin
from articles.admin.states import is_visible, page_of_article, state_of
from articles.models import Comment
from articles.texts import shortened
from users.admin import HideableAdmin
from users.admin_base import MAX_TEXT, MAX_TOOLTIP, DateFilter, RelationFilter

FACTS = ("state", "created_at", "updated_at")


@admin.register(Comment)
class CommentAdmin(HideableAdmin, SearchAdmin, MarkdownAdmin):
    fieldsets = (
        (None, {"fields": ("body", "author", "article"), "classes": ["text"]}),
        ("Facts", {"fields": FACTS, "classes": ["facts"]}),
    )
    list_display = ("comment", "author", "article", "state", "created_at")
    list_columns = (
        *("created_at", "hidden_at", "author__username", "author__hidden_at"),
        "article__title",
    )
    name_columns = ("body", "author__username", "article__title")
    linked_by = {"author": "comments", "article": "comments"}
    list_filter = (
        *(("author", RelationFilter), ("article", RelationFilter)),
        *(StateFilter, ("created_at", DateFilter)),
    )
    search_fields = ("body", "author__username")
    sort_columns = ("created_at",)
    autocomplete_fields = ("author", "article")
    readonly_fields = FACTS
    ordering = ("-created_at", "-id")

    def describe(self, row: Comment) -> tuple[str, str]:
        return str(row), f"{row.created_at:%-d %B %Y}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Comment]:
        comments: QuerySet[Comment] = super().get_queryset(request)
        return comments.annotate(start=Left("body", MAX_TOOLTIP))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj else fieldsets[:1]  # a new comment has no facts

    @admin.display
    def comment(self, comment: Any) -> str:
        tooltip = "" if len(comment.start) <= MAX_TEXT else comment.start
        return format_html(
            '<span title="{}">{}</span>', tooltip, shortened(comment.start, MAX_TEXT)
        )

    @admin.display
    def state(self, comment: Comment) -> str:
        return state_of(comment)

    def view_on_site(self, comment: Comment) -> str | None:
        return page_of_article(comment.article) if is_visible(comment) else None
