"""Writes the audit log and the history of rows, for every admin page."""

import json
from typing import Any, cast

from django import forms
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import models
from django.http import HttpRequest

from users.admin_base.links import LinkedModelAdmin, load_only
from users.audit import MAX_ENTRIES, Action, record
from users.models import User

REASON_LENGTH = 1_000  # characters


class LoggedAdmin(LinkedModelAdmin):
    """Writes an entry into the audit log wherever Django's admin logs an action."""

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
        record(editor_of(request), Action.ADD, [obj], details=_text_of(message))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> LogEntry:
        record(editor_of(request), Action.CHANGE, [obj], details=_text_of(message))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        if not isinstance(queryset, models.QuerySet):
            queryset = self.model._base_manager.filter(pk__in=[row.pk for row in queryset])
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
        rows = rows if rows.ordered else rows.order_by("pk")
        # An entry needs only the name of the row.
        rows = load_only(rows, self.name_columns) if self.name_columns else rows
        record(editor_of(request), action, rows, reason=reason, details=details)
        flag = DELETION if action == Action.DELETE else CHANGE
        message = ". ".join(filter(None, (action.label, details, reason)))
        return LogEntry.objects.log_actions(
            editor_of(request).pk, rows[:MAX_ENTRIES], flag, "" if flag == DELETION else message
        )


def editor_of(request: HttpRequest) -> User:
    """The user who is logged in to the admin."""
    return cast(User, request.user)


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


def _text_of(message: Any) -> str:
    return LogEntry(change_message=json.dumps(message)).get_change_message()
