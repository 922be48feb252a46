from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest

from articles.admin.finding import SearchAdmin, StateFilter, TagFilter
from articles.admin.markdown import MarkdownAdmin
from articles.admin.states import page_of_article, state_of
from articles.admin.tag_list import ArticleForm, lock_new_tags, save_tags
from articles.entries import favorites_count
from articles.models import Article
from users.admin import HideableAdmin
from users.admin_base import ChangeForm, DateFilter, RelationFilter, cut

FACTS = ("state", "favorites", "slug", "created_at", "updated_at")


@admin.register(Article)
class ArticleAdmin(HideableAdmin, SearchAdmin, MarkdownAdmin):
    class Media:
        js = ("articles/tags.js",)

    form = ArticleForm
    fieldsets = (
        (
            None,
            {"fields": ("title", "description", "body", "tag_list", "author"), "classes": ["text"]},
        ),
        ("Facts", {"fields": FACTS, "classes": ["facts"]}),
    )
    list_display = ("name", "author", "state", "created_at", "favorites", "related")
    list_columns = (
        *("title", "created_at", "hidden_at"),
        *("author__username", "author__hidden_at"),
    )
    name_columns = ("title",)
    linked_by = {"author": "articles", "tags": "articles"}
    list_filter = (
        *(("author", RelationFilter), ("tags", TagFilter)),
        *(StateFilter, ("created_at", DateFilter)),
    )
    search_fields = ("title", "description", "body", "author__username")
    sort_columns = ("created_at",)
    autocomplete_fields = ("author",)
    readonly_fields = FACTS
    ordering = ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Article]:
        articles: QuerySet[Article] = super().get_queryset(request)
        return articles.annotate(likes=favorites_count())

    def describe(self, row: Article) -> tuple[str, str]:
        return row.title, f"by {row.author}, {row.created_at:%-d %B %Y}"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj else fieldsets[:1]  # a new article has no facts

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        if request.method == "POST" and connection.in_atomic_block:
            article = admin.ModelAdmin.get_object(self, request, object_id, from_field)
            if article and self.has_change_permission(request, article):
                lock_new_tags(request, article)
        return super().get_object(request, object_id, from_field)

    def save_related(
        self, request: HttpRequest, form: ChangeForm, formsets: list[Any], change: bool
    ) -> None:
        super().save_related(request, form, formsets, change)
        if "tag_list" not in form.changed_data:
            return
        article: Article = form.instance
        save_tags(article, form.cleaned_data["tag_list"], is_new=not change)
        if change and form.changed_data == ["tag_list"]:
            # Otherwise only a change of the article itself would set `updated_at`.
            article.save(update_fields=["updated_at"])

    @admin.display(description="tags")
    def tag_list(self, article: Article) -> str:
        """The tags, for an editor who may not change the article."""
        return ", ".join(article.tag_names)

    @admin.display(description="title", ordering="title")
    def name(self, article: Article) -> str:
        return cut(article.title)

    @admin.display
    def state(self, article: Article) -> str:
        return state_of(article)

    def view_on_site(self, article: Article) -> str | None:
        return page_of_article(article)

    @admin.display(ordering="likes")
    def favorites(self, article: Any) -> int:
        return int(article.likes)
