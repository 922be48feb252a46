"""How the lists of articles and comments search and filter."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RadioFilter

from articles.models import Tagging
from articles.search import MAX_MATCHES
from users.admin_base import MAX_ROWS, ModelAdmin, RelationFilter
from users.models import User
from users.names import MAX_INPUT_LENGTH, fold


class SearchAdmin(ModelAdmin):
    """Searches texts by their words, or by the whole name of their author."""

    search_help_text = "Words, or the name of an author"

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[QuerySet, bool]:
        text = search_term.strip()
        if not text:
            return queryset, False
        rows: Any = self.model._default_manager
        name = fold(text[:MAX_INPUT_LENGTH])
        author = User.objects.filter(username_folded=name).values_list("pk", flat=True).first()
        if author is None:
            return queryset.matching(text), False
        of_author = rows.filter(author=author).newest_first()[:MAX_MATCHES]
        found = rows.matching(text).values("pk").union(of_author.values("pk"))
        return queryset.filter(pk__in=found), False


class StateFilter(RadioFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("visible", "Visible"), ("hidden", "Hidden"), ("author", "Author hidden")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "visible":
                return queryset.visible()
            case "hidden":
                return queryset.filter(hidden_at__isnull=False)
            case "author":
                hidden = User.objects.filter(hidden_at__isnull=False)
                return queryset.filter(author__in=hidden.values("pk"))
        return queryset


class TagFilter(RelationFilter):
    """Articles with a tag."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if not self.value():
            return queryset
        taggings = Tagging.objects.filter(tag=self.pk)
        if {*filter(request.GET.get, request.GET)} <= {self.lookup_kwarg, "p", "o", "e"}:
            # Without other filters, the list needs no more. PostgreSQL would read all articles in
            # the order of the list if it expected many of the newest to have the tag.
            taggings = taggings.newest_first()[: MAX_ROWS + 1]
        return queryset.filter(pk__in=taggings.values("article"))
