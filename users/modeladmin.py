"""What every model's pages in the admin have in common."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.db import connection, models
from django.forms import Field
from django.http import HttpRequest

from users.forms import ChangeForm, LineField, TextField

LINE_LENGTH = 255  # characters: a longer text may have many lines


class ModelAdmin(admin.ModelAdmin):
    """Saves only the fields that the editor has changed."""

    form = ChangeForm

    def formfield_for_dbfield(
        self, db_field: models.Field, request: HttpRequest, **options: Any
    ) -> Field | None:
        if isinstance(db_field, models.CharField | models.TextField):
            if db_field.max_length and db_field.max_length <= LINE_LENGTH:
                # Not type="email": a browser would rewrite the domain of an address.
                options.update(form_class=LineField, widget=AdminTextInputWidget)
            else:
                options.update(form_class=TextField, widget=AdminTextareaWidget)
        return super().formfield_for_dbfield(db_field, request, **options)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> models.Model | None:
        """The row, or None. A request that changes it keeps it locked until it commits: the row
        can be neither changed nor deleted between this look and the write."""
        row = super().get_object(request, object_id, from_field)
        if row and request.method == "POST" and connection.in_atomic_block:
            rows = self.model._base_manager.select_for_update(no_key=True)
            try:
                row.refresh_from_db(from_queryset=rows)
            except self.model.DoesNotExist:
                return None
        return row

    def save_model(self, request: HttpRequest, obj: Any, form: ChangeForm, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        columns = {field.name for field in obj._meta.concrete_fields}
        if changed := columns.intersection(form.changed_data):
            obj.save(update_fields=changed)
