"""The base class of the admin pages of all models."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, models
from django.db.models import Exists, OuterRef
from django.forms import Field
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from users.admin_base.actions import (
    MAX_COUNTED,
    ConfirmedAction,
    ReasonForm,
    delete_selected,
    shown,
)
from users.admin_base.forms import ChangeForm, LineField, TextArea, TextField
from users.admin_base.lists import LargeListAdmin
from users.admin_base.log import LoggedAdmin
from users.deletion import Deletion, counts_below, delete
from users.visibility import IN_ADMIN

SHORT_TEXT = 5_000  # characters; a longer field has a large textarea
LINE_LENGTH = 255  # characters; a longer field is edited in a textarea


class ModelAdmin(LoggedAdmin, LargeListAdmin):
    """Saves only the fields that the editor has changed, logs every action, asks for a confirmation
    before actions, and can delete any number of rows."""

    form = ChangeForm
    delete_confirmation_template = "admin/delete_one_confirmation.html"

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
        return super().get_queryset(request).filter(IN_ADMIN).exclude(Exists(deletions))

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

    def changeform_view(self, request: HttpRequest, *arguments: Any, **options: Any) -> Any:
        """The page of a row. If another request has written a conflicting row after the form was
        checked, the form is checked again, and says what is wrong."""
        try:
            return super().changeform_view(request, *arguments, **options)
        except IntegrityError:
            return super().changeform_view(request, *arguments, **options)

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

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        self.delete_queryset(request, self._rows([obj.pk]))

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet) -> None:
        if not delete(queryset):
            text = "The rows are deleted in the background. This page does not list them."
            self.message_user(request, text, messages.INFO)

    def describe(self, row: Any) -> tuple[str, str]:
        """The name of the row, and a line below it, as confirmation pages show them."""
        return str(row), ""

    def url_of(self, row: models.Model) -> str:
        """The page of the row."""
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[quote(row.pk)])

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_action"
        view = self.admin_site.admin_view(self.action_view)
        return [path("<path:object_id>/action/<str:name>/", view, name=name), *super().get_urls()]

    def action_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """The confirmation page of an action on one row."""
        action = self._confirmed_actions(request).get(name)
        row = self.get_object(request, unquote(object_id))
        if action is None or not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404
        rows = self.model._base_manager.filter(pk=row.pk)
        return action.respond(self, request, rows, self.url_of(row))

    def _confirmed_actions(self, request: HttpRequest) -> dict[str, ConfirmedAction]:
        """The actions that the editor may use, by name."""
        actions: Any = self.get_actions(request)
        functions = {name: action.func for name, action in actions.items()}
        return {
            name: function
            for name, function in functions.items()
            if isinstance(function, ConfirmedAction)
        }

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django ignores an action that the editor may not use. Here it is an error."""
        every: Any = self._get_base_actions()  # type: ignore[attr-defined]  # private
        forbidden = {action.name for action in every} - self.get_actions(request).keys()
        if forbidden.intersection(request.POST.getlist("action")):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Adds the buttons of the actions that apply to the row."""
        if obj is not None and not context.get("is_popup"):
            links = [
                action.link(self, obj)
                for action in self._confirmed_actions(request).values()
                if action.has_button and action.applies_to(obj)
            ]
            context["actions_detail"] = [*context.get("actions_detail", ()), *links]
        page: HttpResponse = super().render_change_form(
            request, context, add, change, form_url, obj=obj
        )
        return page

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        row = context["object"]
        lacking = [f"Your account may not delete: {name}." for name in context["perms_lacking"]]
        context |= {
            "title": f"Delete 1 {self.opts.verbose_name}",
            "action": delete_selected,
            "problems": [*lacking, *context["protected"]],
            "form": ReasonForm(),
            "back": self.url_of(row),
            "shown": shown(self, self.model._base_manager.filter(pk=row.pk)),
        }
        return super().render_delete_form(request, context)
