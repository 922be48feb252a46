"""Lists and pages of the admin that lead to each other: columns that link to another row, and links
to the lists of rows that belong to a row."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest
from django.urls import Resolver404, resolve, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.views import ChangeList as UnfoldChangeList

type Column = Callable[[Any], Any]

MAX_TEXT = 80  # characters of a text in a list; its tooltip shows MAX_TOOLTIP
MAX_TOOLTIP = 300


class PartialChangeList(UnfoldChangeList):
    """Loads only the columns that the list shows. A text may have 200,000 characters."""

    def apply_select_related(self, qs: models.QuerySet) -> models.QuerySet:
        columns = cast(LinkedModelAdmin, self.model_admin).list_columns
        return load_only(qs, columns) if columns else super().apply_select_related(qs)


class LinkedModelAdmin(UnfoldModelAdmin):
    # The columns that a list loads, with those of other tables: "author__username". () means all.
    list_columns: tuple[str, ...] = ()
    # The columns that the name of a row (`__str__`) needs, in the same form.
    name_columns: tuple[str, ...] = ()
    # The relations by which other rows link to this list, with the text of the link. ArticleAdmin
    # has {"author": "articles"}, so the page of a user links to the list of the user's articles.
    linked_by: dict[str, str] = {}
    change_form_outer_before_template: Any = "admin/related_lists.html"

    @property
    def request(self) -> Any:
        """Unfold stores the request of a list here, to ask for the list's filters. All threads
        share this object, so the request of another editor would be kept."""

    @request.setter
    def request(self, request: HttpRequest) -> None:
        pass

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[PartialChangeList]:
        return PartialChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns. A relation is a link if the editor may see the related rows."""
        return [self._linked(column, request) for column in super().get_list_display(request)]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *arguments: Any, **options: Any
    ) -> Any:
        row = options.get("obj")
        context["related_lists"] = self.related_lists(request, row.pk) if row else []
        return super().render_change_form(request, context, *arguments, **options)

    def related_lists(self, request: HttpRequest, pk: int | str) -> list[tuple[str, str]]:
        """The addresses and names of the lists of rows that belong to a row, as far as the editor
        may see them."""
        return [
            (f"{list_of(model)}?{relation}__id__exact={pk}", text)
            for model, model_admin in self.admin_site._registry.items()
            for relation, text in getattr(model_admin, "linked_by", {}).items()
            if model._meta.get_field(relation).related_model is self.model
            if model_admin.has_view_or_change_permission(request)
        ]

    @admin.display(description="lists")
    def related(self, row: models.Model) -> str:
        """A column with `related_lists`. `get_list_display` replaces it."""
        raise NotImplementedError

    def _linked(self, column: Any, request: HttpRequest) -> Any:
        if column == "related":
            return self._lists_column(request)
        try:
            field = self.opts.get_field(column) if isinstance(column, str) else None
        except FieldDoesNotExist:
            return column
        if not isinstance(field, models.ForeignKey):
            return column
        related = self.admin_site._registry.get(field.related_model)
        if not related or not related.has_view_or_change_permission(request):
            return column
        return relation_column(field)

    def _lists_column(self, request: HttpRequest) -> Column:
        lists = self.related_lists(request, "{}")

        @admin.display(description="lists")
        def related(row: models.Model) -> SafeString:
            links = ((address.format(row.pk), text) for address, text in lists)
            return format_html_join(" · ", '<a class="text-link" href="{}">{}</a>', links)

        return related


def load_only(rows: models.QuerySet, columns: Iterable[str]) -> models.QuerySet:
    """Load only these columns, and those of related rows ("author__username") with a join."""
    relations = {name.rpartition("__")[0] for name in columns if "__" in name}
    keys = {relation.partition("__")[0] for relation in relations}
    rows = rows.select_related(None)
    if relations:
        rows = rows.select_related(*relations)
    return rows.only("pk", *columns, *keys)


def relation_column(field: Any) -> Column:
    """A column that shows the related row as a link to its page."""

    @admin.display(description=field.verbose_name)
    def column(row: models.Model) -> SafeString | None:
        related = getattr(row, field.name)
        if related is None:
            return None
        options = related._meta
        name = f"admin:{options.app_label}_{options.model_name}_change"
        address = reverse(name, args=[related.pk])
        return format_html('<a class="text-link" href="{}">{}</a>', address, cut(str(related)))

    column.__name__ = field.name
    return column


def list_of(model: type[models.Model]) -> str:
    """The address of the list of a model."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def cut(text: str, length: int = MAX_TEXT) -> str:
    """The start of a text. The whole text, or MAX_TOOLTIP characters of it, is its tooltip."""
    if len(text) <= length:
        return text
    start, tooltip = text[: length - 1].rstrip(), text[:MAX_TOOLTIP]
    return format_html('<span title="{}">{}…</span>', tooltip, start)


def states(*labels: tuple[str, str]) -> SafeString:
    """Labels, each with its text and its kind: "danger", "warning", "info" or "plain"."""
    pairs = ((kind, text) for text, kind in labels)
    return format_html_join(" ", '<span class="state state-{}">{}</span>', pairs)


def first_page(*paths: str) -> str | None:
    """The first of the paths that leads to a page, or None."""
    for path in paths:
        try:
            resolve(path)
        except Resolver404:
            continue
        return path
    return None
