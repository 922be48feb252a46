"""The base class of the admin pages of all models, and the action that deletes rows."""

import json
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ActionLocation, actions
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.utils import model_ngettext
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef
from django.forms import Field
from django.http import HttpRequest
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from users.admin_forms import ChangeForm, LineField, TextArea, TextField
from users.admin_links import LinkedModelAdmin, load_only
from users.audit import MAX_ENTRIES, Action, record
from users.deletion import Deletion, counts_below, delete

MAX_COUNTED = 100_000  # rows of a model that a confirmation page counts, in 20 ms
REASON_LENGTH = 1_000  # characters
SHORT_TEXT = 5_000  # characters; a longer field has a large textarea
LINE_LENGTH = 255  # characters; a longer field is edited in a textarea


class ModelAdmin(LinkedModelAdmin):
    """Saves only the fields that the editor has changed, and can delete any number of rows."""

    form = ChangeForm
    # To count all rows of a large table takes longer than to fetch the page.
    show_full_result_count = False
    delete_confirmation_max_display = 0  # the page shows counts, not lists
    delete_selected_confirmation_template = "admin/delete_counted_confirmation.html"

    def formfield_for_dbfield(
        self, db_field: models.Field, request: HttpRequest, **options: Any
    ) -> Field | None:
        if isinstance(db_field, models.CharField | models.TextField):
            if db_field.max_length and db_field.max_length <= LINE_LENGTH:
                # Not type="email": browsers would change the domain of an e-mail.
                options.update(form_class=LineField, widget=UnfoldAdminTextInputWidget)
            else:
                rows = {"rows": 3 if (db_field.max_length or 0) <= SHORT_TEXT else 12}
                options.update(form_class=TextField, widget=TextArea(attrs=rows))
        return super().formfield_for_dbfield(db_field, request, **options)

    def get_action_choices(
        self,
        request: HttpRequest,
        default_choices: list[tuple[str, str]] | None = None,
        action_location: ActionLocation = ActionLocation.CHANGE_LIST,
    ) -> list[tuple[str, str]]:
        # Unfold's method does not have the parameter `action_location`, which Django passes.
        choices = default_choices or [("", "Select action")]
        return admin.ModelAdmin.get_action_choices(self, request, choices, action_location)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet:
        """All rows, including hidden ones, except those whose deletion is queued."""
        deletions = Deletion.objects.filter(model=self.opts.label_lower, row_id=OuterRef("pk"))
        return super().get_queryset(request).exclude(Exists(deletions))

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> models.Model | None:
        """The row, or None. A POST locks the row until its COMMIT, so that no other transaction can
        change or delete the row before this one writes it."""
        row = super().get_object(request, object_id, from_field)
        if row and request.method == "POST" and connection.in_atomic_block:
            rows = self.model._base_manager.select_for_update(no_key=True)
            try:
                row.refresh_from_db(from_queryset=rows)
            except self.model.DoesNotExist:
                return None
        return row

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        columns = {field.name for field in obj._meta.concrete_fields}
        if changed := columns.intersection(form.changed_data):
            obj.save(update_fields=changed)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, Any], set[str], list[str]]:
        """Counts of the rows to delete, by model, and the models that the editor may not delete."""
        rows = objs if isinstance(objs, models.QuerySet) else self._rows([row.pk for row in objs])
        counts: dict[str, Any] = {}
        forbidden = set()
        for model, count in counts_below(rows, MAX_COUNTED).items():
            if not count:
                continue
            name = str(model._meta.verbose_name_plural)
            counts[name] = count if count <= MAX_COUNTED else f"more than {MAX_COUNTED:,}"
            if not self._may_delete(model, request):
                forbidden.add(str(model._meta.verbose_name))
        return [], counts, forbidden, []

    def _may_delete(self, model: type[models.Model], request: HttpRequest) -> bool:
        """As in Django, a model without admin pages needs no permission."""
        if not self.admin_site.is_registered(model):
            return True
        return self.admin_site.get_model_admin(model).has_delete_permission(request)

    def _rows(self, pks: list[int]) -> models.QuerySet:
        rows: models.QuerySet = self.model._base_manager.filter(pk__in=pks)
        return rows

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, Any]]:
        """Names the new values of switches, such as "active", and what was added to and removed
        from relations, such as groups. Never names a text: it may be long, or a secret."""
        message: list[dict[str, Any]] = super().construct_change_message(
            request, form, formsets, add
        )
        changes = [described_change(form, name) for name in form.changed_data]
        if add:
            if changes := [change for change in changes if "(" in change]:
                message.append({"changed": {"fields": changes}})
        elif changes:
            message[0]["changed"]["fields"] = changes
        return message

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> LogEntry:
        record(_editor(request), Action.ADD, [obj], details=_text_of(message))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> LogEntry:
        record(_editor(request), Action.CHANGE, [obj], details=_text_of(message))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        if not isinstance(queryset, models.QuerySet):
            queryset = self._rows([row.pk for row in queryset])
        return self.log_rows(request, queryset, Action.DELETE, reason=reason_of(request))

    def log_rows(
        self,
        request: HttpRequest,
        rows: models.QuerySet,
        action: Action,
        *,
        reason: str = "",
        details: str = "",
    ) -> Any:
        """Log one entry for each of the first MAX_ENTRIES rows, and one for all others, in the
        audit log and in the history of the rows. Call it before rows are deleted."""
        # An entry needs only the name of the row.
        rows = load_only(rows, self.name_columns) if self.name_columns else rows
        record(_editor(request), action, rows, reason=reason, details=details)
        flag = DELETION if action == Action.DELETE else CHANGE
        message = ". ".join(filter(None, (action.label, details, reason)))
        return LogEntry.objects.log_actions(
            _editor(request).pk, rows[:MAX_ENTRIES], flag, "" if flag == DELETION else message
        )

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        self.delete_queryset(request, self._rows([obj.pk]))

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet) -> None:
        if not delete(queryset):
            text = "The rows are deleted in the background. This page does not list them."
            self.message_user(request, text, messages.INFO)


@admin.action(permissions=["delete"], description="Delete selected %(verbose_name_plural)s")
def delete_selected(
    modeladmin: admin.ModelAdmin, request: HttpRequest, queryset: models.QuerySet
) -> TemplateResponse | None:
    """Replaces Django's action of this name. Works for any number of rows, because it does not
    load them."""
    if not request.POST.get("post"):
        page = cast(TemplateResponse, actions.delete_selected(modeladmin, request, queryset))
        pks = queryset.order_by("-pk").values_list("pk", flat=True)
        across = request.POST.get("select_across") == "1"
        page.context_data = (page.context_data or {}) | {
            "newest": pks.first(),
            "pks": pks[:1] if across else pks,
            "across": int(across),
        }
        return page
    # The editor has not confirmed rows that were added after the confirmation page.
    if newest := request.POST.get("newest"):
        queryset = queryset.filter(pk__lte=newest)
    _, _, forbidden, protected = modeladmin.get_deleted_objects(queryset, request)
    if forbidden or protected:
        raise PermissionDenied
    with transaction.atomic():
        count = queryset.count()
        modeladmin.log_deletions(request, queryset)
        # A new queryset, without the order, annotations and joins of the list.
        rows = modeladmin.model._base_manager.filter(pk__in=queryset.order_by().values("pk"))
        modeladmin.delete_queryset(request, rows)
    name = model_ngettext(modeladmin.opts, count)
    modeladmin.message_user(request, f"Successfully deleted {count:,} {name}.", messages.SUCCESS)
    return None


def reason_of(request: HttpRequest) -> str:
    """The reason that the editor gave on a confirmation page. May be empty."""
    return request.POST.get("reason", "").strip()[:REASON_LENGTH]


def described_change(form: forms.ModelForm, name: str) -> str:
    """The label of a changed field, with its change in brackets if it may be shown."""
    field = form.fields.get(name)
    label = str((field and field.label) or name)
    if isinstance(field, forms.BooleanField):
        return f"{label} (now {'yes' if form.cleaned_data[name] else 'no'})"
    if isinstance(field, forms.ModelMultipleChoiceField):
        before, after = {*form.initial.get(name, ())}, {*form.cleaned_data[name]}
        changes = {"added": after - before, "removed": before - after}
        parts = [
            f"{verb} {', '.join(sorted(map(str, rows)))}" for verb, rows in changes.items() if rows
        ]
        return f"{label} ({'; '.join(parts)})"
    return label


def _editor(request: HttpRequest) -> AbstractBaseUser:
    return cast(AbstractBaseUser, request.user)


def _text_of(message: Any) -> str:
    return LogEntry(change_message=json.dumps(message)).get_change_message()
