from django.contrib import admin

from articles.models import Favorite
from users.admin_base import ModelAdmin


@admin.register(Favorite)
class FavoriteAdmin(ModelAdmin):
    list_display = ("user", "article", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("user", "article")
    search_fields = ("user__username", "article__title")
    autocomplete_fields = ("user", "article")
    readonly_fields = ("created_at",)
    ordering = ("-id",)
