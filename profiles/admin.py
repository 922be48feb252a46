from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from profiles.models import Follow
from users.admin_base import NEWEST_FIRST, ModelAdmin, RelationFilter
from users.models import User
from users.names import MAX_INPUT_LENGTH, fold


@admin.register(Follow)
class FollowAdmin(ModelAdmin):
    list_display = ("__str__", "follower", "followed", "created_at")
    list_columns = ("created_at", "follower__username", "followed__username")
    name_columns = ("follower__username", "followed__username")
    linked_by = {"follower": "follows", "followed": "followers"}
    list_filter = (("follower", RelationFilter), ("followed", RelationFilter))
    search_fields = ("follower__username", "followed__username")
    search_help_text = "The name of a user"
    autocomplete_fields = ("follower", "followed")
    readonly_fields = ("created_at",)

    def get_ordering(self, request: HttpRequest) -> Any:
        names = ("follower__id__exact", "followed__id__exact")
        return NEWEST_FIRST if any(map(request.GET.get, names)) else ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Follow], search_term: str
    ) -> tuple[QuerySet[Follow], bool]:
        name = fold(search_term.strip()[:MAX_INPUT_LENGTH])
        if not name:
            return queryset, False
        users = [*User.objects.filter(username_folded=name).values_list("pk", flat=True)]
        either = Q(follower__in=users) | Q(followed__in=users)
        return queryset.filter(either).order_by(*NEWEST_FIRST), False
