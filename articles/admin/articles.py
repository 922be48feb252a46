from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

from articles.admin.states import page_of_article, state_of
from articles.entries import favorites_count
from articles.models import Article, Tagging
from users.admin_base import ModelAdmin
from users.admin_forms import ChangeForm
from users.admin_links import cut


class TaggingInline(TabularInline):
    model = Tagging
    extra = 1
    autocomplete_fields = ("tag",)
    verbose_name = "tag"


@admin.register(Article)
class ArticleAdmin(ModelAdmin):
    list_display = ("name", "author", "state", "created_at", "favorites", "related")
    list_columns = (
        *("title", "created_at", "hidden_at"),
        *("author__username", "author__hidden_at"),
    )
    name_columns = ("title",)
    linked_by = {"author": "articles", "tags": "articles"}
    list_filter = ("created_at", "updated_at")
    search_fields = ("title", "description", "author__username", "tags__name")
    autocomplete_fields = ("author",)
    readonly_fields = ("slug", "created_at", "updated_at")
    inlines = (TaggingInline,)
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Article]:
        articles: QuerySet[Article] = super().get_queryset(request)
        return articles.annotate(likes=favorites_count())

    def save_related(
        self, request: HttpRequest, form: ChangeForm, formsets: list[Any], change: bool
    ) -> None:
        super().save_related(request, form, formsets, change)
        tags_changed = any(formset.has_changed() for formset in formsets)
        if change and tags_changed and not form.has_changed():
            # Otherwise only a change of the article itself would set `updated_at`.
            form.instance.save(update_fields=["updated_at"])

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
