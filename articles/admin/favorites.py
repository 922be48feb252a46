from django.contrib import admin

from articles.models import Favorite
from users.admin_base import ModelAdmin


@admin.register(Favorite)
class FavoriteAdmin(ModelAdmin):
    list_display = ("__str__", "user", "article", "created_at")
    list_columns = ("created_at", "user__username", "article__title")
    name_columns = ("user__username", "article__title")
    linked_by = {"user": "favorites", "article": "favorites"}
    list_filter = ("created_at",)
    search_fields = ("user__username", "article__title")
    autocomplete_fields = ("user", "article")
    readonly_fields = ("created_at",)
    ordering = ("-id",)
