from django.contrib import admin

from articles.models import Comment
from users.admin_base import ModelAdmin


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
