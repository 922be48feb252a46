"""The actions of moderators: hide and restore texts; suspend, restore and log out users."""

from typing import Any

from django import forms
from django.contrib.auth import get_permission_codename
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldBooleanWidget

from users.admin_base import ConfirmedAction, ModelAdmin, ReasonForm, counted, editor_of
from users.audit import Action
from users.models import User
from users.moderation import reinstate, suspend
from users.privileges import irremovable, problems_of, untouchable
from users.revocation import end_tokens_of
from users.visibility import Hideable
from users.visibility_changes import change_visibility, changeable, locked, not_being_deleted

IN_BACKGROUND = " They are many, so a server does it in the background, within minutes."


class ChangeVisibility(ConfirmedAction):
    permission = "hide"
    hides: bool
    logged_as: Action

    def applies_to(self, row: Hideable) -> bool:
        return (row.hidden_at is None) == self.hides

    def rows(self, model_admin: Any, selected: QuerySet[Any]) -> QuerySet[Any]:
        return changeable(selected, hide=self.hides)

    def run(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], form: forms.Form
    ) -> str:
        rows = locked(rows)
        count = rows.count()
        model_admin.log_rows(request, rows, self.logged_as, reason=form.cleaned_data["reason"])
        done = change_visibility(rows, hide=self.hides)
        text = f"{self.logged_as.label}: {counted(model_admin.opts, count)}."
        return text if done else text + IN_BACKGROUND


class Hide(ChangeVisibility):
    name = "hide"
    label = "Hide"
    explanation = (
        "Hidden texts are for the site and the API as if they were deleted: they are in no list and"
        " no count. You can restore them unchanged."
    )
    icon = "visibility_off"
    hides = True
    logged_as = Action.HIDE


class Restore(ChangeVisibility):
    name = "restore"
    label = "Restore"
    explanation = "Restored texts are visible again, unchanged, unless their author is hidden."
    icon = "visibility"
    hides = False
    logged_as = Action.RESTORE


class HideableAdmin(ModelAdmin):
    """The admin page of a model with the permission hide_<model>."""

    actions = (Hide(), Restore())

    def has_hide_permission(self, request: HttpRequest) -> bool:
        codename = get_permission_codename("hide", self.opts)
        return bool(request.user.has_perm(f"{self.opts.app_label}.{codename}"))


class SuspendForm(ReasonForm):
    with_content = forms.BooleanField(
        required=False,
        label="Hide their profiles, articles and comments too",
        widget=UnfoldBooleanWidget,
    )
    field_order = ("with_content", "reason")


class UserAction(ConfirmedAction):
    """An action that needs the permission to suspend users. It is refused for users whom the editor
    may not change (`users.privileges`)."""

    permission = "suspend"

    def problems(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], *, lock: bool
    ) -> list[str]:
        return problems_of(untouchable(rows, editor_of(request)))


class Suspend(UserAction):
    name = "suspend"
    label = "Suspend"
    explanation = (
        "Suspended users are logged out everywhere and cannot log in. Their favorites and follows"
        " still count. You can restore them."
    )
    icon = "block"
    dangerous = True
    form_class = SuspendForm

    def applies_to(self, row: User) -> bool:
        return row.is_active

    def rows(self, model_admin: Any, selected: QuerySet[Any]) -> QuerySet[Any]:
        return not_being_deleted(selected).filter(is_active=True)

    def problems(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], *, lock: bool
    ) -> list[str]:
        return problems_of(irremovable(rows, editor_of(request), lock=lock))

    def run(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], form: forms.Form
    ) -> str:
        with_content = form.cleaned_data["with_content"]
        rows = locked(rows)
        count = rows.count()
        details = "With their profile, articles and comments." if with_content else ""
        reason = form.cleaned_data["reason"]
        model_admin.log_rows(request, rows, Action.SUSPEND, reason=reason, details=details)
        done = suspend(rows, with_content=with_content)
        text = f"Suspended: {counted(model_admin.opts, count)}."
        return text if done else f"{text} Their texts are hidden in the background, within minutes."


class Reinstate(UserAction):
    name = "restore"
    label = "Restore"
    explanation = (
        "Restored users can log in again, and their profiles are visible, with all articles and"
        " comments that were not hidden one by one."
    )
    icon = "undo"

    def applies_to(self, row: User) -> bool:
        return not row.is_active or row.hidden_at is not None

    def rows(self, model_admin: Any, selected: QuerySet[Any]) -> QuerySet[Any]:
        return not_being_deleted(selected).exclude(is_active=True, hidden_at=None)

    def run(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], form: forms.Form
    ) -> str:
        rows = locked(rows)
        count = rows.count()
        model_admin.log_rows(request, rows, Action.RESTORE, reason=form.cleaned_data["reason"])
        done = reinstate(rows)
        text = f"Restored: {counted(model_admin.opts, count)}."
        return text if done else text + IN_BACKGROUND


class LogOut(UserAction):
    name = "log_out_everywhere"
    label = "Log out"
    explanation = "All tokens and sessions end. The users can log in again."
    icon = "logout"

    def run(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], form: forms.Form
    ) -> str:
        model_admin.log_rows(request, rows, Action.LOG_OUT, reason=form.cleaned_data["reason"])
        count = end_tokens_of(rows)
        return f"Logged out everywhere: {counted(model_admin.opts, count)}."


class SuspendableAdmin(ModelAdmin):
    """The admin page of users, with the permission suspend_user."""

    actions: Any = (Suspend(), Reinstate(), LogOut())

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("users.suspend_user"))

    def describe(self, row: User) -> tuple[str, str]:
        return str(row), f"{row.email}, joined {row.created_at:%-d %B %Y}"
