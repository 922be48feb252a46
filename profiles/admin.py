from django.contrib import admin

from profiles.models import Follow
from users.admin_base import ModelAdmin


@admin.register(Follow)
class FollowAdmin(ModelAdmin):
    list_display = ("__str__", "follower", "followed", "created_at")
    list_columns = ("created_at", "follower__username", "followed__username")
    name_columns = ("follower__username", "followed__username")
    linked_by = {"follower": "follows", "followed": "followers"}
    list_filter = ("created_at",)
    search_fields = ("follower__username", "followed__username")
    autocomplete_fields = ("follower", "followed")
    readonly_fields = ("created_at",)
    ordering = ("-id",)
