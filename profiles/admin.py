from django.contrib import admin

from profiles.models import Follow
from users.admin_base import ModelAdmin


@admin.register(Follow)
class FollowAdmin(ModelAdmin):
    list_display = ("follower", "followed", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("follower", "followed")
    search_fields = ("follower__username", "followed__username")
    autocomplete_fields = ("follower", "followed")
    readonly_fields = ("created_at",)
    ordering = ("-id",)
