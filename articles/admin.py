from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest

from articles.counts import CountKind, stored_count
from articles.entries import favorites_count
from articles.models import Article, Comment, Favorite, Tag, Tagging
from users.admin_base import ModelAdmin
from users.admin_forms import ChangeForm


class TaggingInline(admin.TabularInline):
    model = Tagging
    extra = 1
    autocomplete_fields = ("tag",)
    verbose_name = "tag"


@admin.register(Article)
class ArticleAdmin(ModelAdmin):
    list_display = ("title", "author", "created_at", "updated_at", "favorites")
    list_filter = ("created_at", "updated_at")
    list_select_related = ("author",)
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

    @admin.display(ordering="likes")
    def favorites(self, article: Any) -> int:
        return int(article.likes)


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
    list_display = ("name", "articles")
    list_filter = (HasArticlesFilter,)
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        tags: QuerySet[Tag] = super().get_queryset(request)
        count = stored_count(CountKind.ARTICLES_OF_TAG, OuterRef("pk"))
        return tags.annotate(articles_count=count)

    @admin.display(ordering="articles_count")
    def articles(self, tag: Any) -> int:
        return int(tag.articles_count)


@admin.register(Favorite)
class FavoriteAdmin(ModelAdmin):
    list_display = ("user", "article", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("user", "article")
    search_fields = ("user__username", "article__title")
    autocomplete_fields = ("user", "article")
    readonly_fields = ("created_at",)
    ordering = ("-id",)


@admin.register(Comment)
class CommentAdmin(ModelAdmin):
    list_display = ("body_start", "author", "article", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("author", "article")
    search_fields = ("body", "author__username", "article__title")
    autocomplete_fields = ("author", "article")
    readonly_fields = ("created_at", "updated_at")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")

    @admin.display(description="comment")
    def body_start(self, comment: Comment) -> str:
        return comment.body[:80]
