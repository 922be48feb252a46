"""The page of the audit log. Nobody can add, change or delete entries."""

from collections import defaultdict
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from users.admin_base import ChangeList, DateFilter, ModelAdmin
from users.audit import AuditEntry


class AuditEntryList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Finds out which rows of the page still exist: one query for each model."""
        super().get_results(request)
        self.result_list = [*self.result_list]
        entries = defaultdict(list)
        for entry in self.result_list:
            entry.page_of_row = ""
            if entry.object_id:
                entries[entry.model].append(entry)
        for label, of_model in entries.items():
            urls = _urls(label, {entry.object_id for entry in of_model}, self.model_admin)
            for entry in of_model:
                entry.page_of_row = urls.get(entry.object_id, "")


def _urls(label: str, ids: set[str], model_admin: Any) -> dict[str, str]:
    """The admin pages of the rows of this model that exist, by id."""
    site = model_admin.admin_site
    try:
        model = apps.get_model(label)
        name = f"{site.name}:{model._meta.app_label}_{model._meta.model_name}_change"
        pks = model._base_manager.filter(pk__in=ids).values_list("pk", flat=True)
        return {str(pk): reverse(name, args=[pk]) for pk in pks}
    except (LookupError, NoReverseMatch):  # the model, or its admin, was removed
        return {}


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):
    list_display = ("at", "actor_name", "action", "kind", "row", "reason", "details")
    list_filter = (("action", ChoicesDropdownFilter), ("at", DateFilter))
    list_display_links = None
    search_fields = ("actor_name__startswith",)
    search_help_text = "The first characters of the editor's name. Capital letters matter."
    ordering = ("-at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        return AuditEntry.objects.all()  # without the look for queued deletions

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return AuditEntryList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="kind")
    def kind(self, entry: AuditEntry) -> str:
        try:
            return str(apps.get_model(entry.model)._meta.verbose_name)
        except LookupError:
            return entry.model

    @admin.display(description="object")
    def row(self, entry: Any) -> str:
        if not entry.page_of_row:
            return str(entry.object_name)
        return format_html('<a href="{}">{}</a>', entry.page_of_row, entry.object_name)
