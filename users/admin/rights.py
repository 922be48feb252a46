"""The rules of `users.privileges` on the admin pages of users and groups."""

from typing import Any

from django import forms
from django.apps import apps
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse

from users.admin_base import ModelAdmin, editor_of
from users.models import User
from users.privileges import (
    Reasons,
    grantable_groups,
    grantable_permissions,
    groups_beyond,
    irremovable,
    lock_superusers,
    problems_of,
    sentence,
    untouchable,
)

STATUSES = ("is_active", "is_staff", "is_superuser")


class StatusForm(forms.ModelForm):
    """Refuses to remove a user whom the editor may not remove.

    A status that the editor may not change is a disabled field. If a request sets it nevertheless,
    the form is invalid, and nothing is saved.
    """

    editor: User

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        for name in STATUSES:
            field = self.fields.get(name)
            if field and (problem := self._problem(name, field)):
                # Not an error of the field: `ChangeForm` drops those of an unchanged field.
                self.add_error(None, problem)
        return cleaned

    def _problem(self, name: str, field: forms.Field) -> str | None:
        sent = field.widget.value_from_datadict(self.data, {}, self.add_prefix(name))
        if field.disabled:
            return (
                f"You may not change: {field.label}." if sent and not self[name].initial else None
            )
        if sent or name not in self.changed_data:
            return None
        reasons = irremovable(_row(self.instance), self.editor)
        return sentence(reasons) if reasons else None


class LimitedUserAdmin(ModelAdmin, UserAdmin):
    """Users: editors change only users without more rights, and give only rights they have."""

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> models.Model | None:
        if request.method == "POST" and transaction.get_connection().in_atomic_block:
            lock_superusers()
        return super().get_object(request, object_id, from_field)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or not untouchable(_row(obj), editor_of(request))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or not irremovable(_row(obj), editor_of(request), lock=False)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, Any], set[str], list[str]]:
        texts, counts, forbidden, _ = super().get_deleted_objects(objs, request)
        rows = objs if isinstance(objs, models.QuerySet) else _row(objs[0])
        reasons = irremovable(rows, editor_of(request), lock=False)
        return texts, counts, forbidden, problems_of(reasons)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet) -> None:
        with transaction.atomic():
            _refuse(irremovable(queryset, editor_of(request)))
            super().delete_queryset(request, queryset)

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """Call it in a transaction. A user without a password cannot log in, as if suspended."""
        user: Any = self.get_object(request, unquote(id))
        if user and "unset-password" in request.POST:
            _refuse(irremovable(_row(user), editor_of(request)))
        return super().user_change_password(request, id, form_url)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the password and the permissions, for editors who may not change the user."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        hidden = {"password", "is_superuser", "groups", "user_permissions", "second_factor"}
        shown = [
            (name, options | {"fields": _without(hidden, options["fields"])})
            for name, options in fieldsets
        ]
        return [fieldset for fieldset in shown if fieldset[1]["fields"]]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        if not issubclass(form, StatusForm):
            return form
        editor = editor_of(request)
        form.editor = editor
        fields: Any = form.base_fields
        if "is_superuser" in fields and not editor.is_superuser:
            fields["is_superuser"].disabled = True
            fields["is_superuser"].help_text = "Only superusers can change this."
        if obj == editor:
            for name in {*STATUSES} & fields.keys():
                fields[name].disabled = True
                fields[name].help_text = "Nobody can change this on their own account."
        if "groups" in fields:
            groups = grantable_groups(editor)
            fields["groups"].queryset = Group.objects.filter(pk__in=groups).order_by("name")
        if "user_permissions" in fields:
            current = obj.user_permissions.all() if obj else Permission.objects.none()
            offered = offered_permissions(self.admin_site, editor, current)
            fields["user_permissions"].queryset = offered
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Checks the rules again, because some forms do not, such as those of editable lists."""
        if change:
            editor = editor_of(request)
            lock_superusers()
            _refuse(untouchable(_row(obj), editor))
            changed = {*STATUSES} & {*form.changed_data}
            if "is_superuser" in changed and not editor.is_superuser:
                raise PermissionDenied("Only superusers can make superusers.")
            if any(not getattr(obj, name) for name in changed):
                _refuse(irremovable(_row(obj), editor))
        super().save_model(request, obj, form, change)


class LimitedGroupAdmin(ModelAdmin, GroupAdmin):  # type: ignore[misc]  # Unfold's annotations are wider
    """Groups: editors change only groups without more permissions, and add only their own."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_below(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_below(request, obj)

    def _is_below(self, request: HttpRequest, group: Group | None) -> bool:
        if group is None:
            return True
        return not groups_beyond(editor_of(request), Group.objects.filter(pk=group.pk)).exists()

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, Any], set[str], list[str]]:
        texts, counts, forbidden, _ = super().get_deleted_objects(objs, request)
        pks = [group.pk for group in objs]
        beyond = groups_beyond(editor_of(request), Group.objects.filter(pk__in=pks))
        problems = [f"{group} has permissions that you do not have." for group in beyond]
        return texts, counts, forbidden, problems

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet) -> None:
        if groups_beyond(editor_of(request), queryset).exists():
            raise PermissionDenied
        super().delete_queryset(request, queryset)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        fields: Any = form.base_fields
        if "permissions" in fields:
            current = obj.permissions.all() if obj else Permission.objects.none()
            offered = offered_permissions(self.admin_site, editor_of(request), current)
            fields["permissions"].queryset = offered
        return form


def offered_permissions(site: Any, editor: User, current: models.QuerySet) -> models.QuerySet:
    """The permissions that a form offers: those on models with admin pages, those that a model
    declares, such as the right to see the pool, and those that the user or group already has. Only
    those that the editor may give."""
    managed = [model for model, _ in site._registry.items()]
    types = ContentType.objects.get_for_models(*managed, for_concrete_models=False).values()
    wanted = models.Q(content_type__in=[each.pk for each in types])
    declared = [codename for model in apps.get_models() for codename, _ in model._meta.permissions]
    wanted |= models.Q(codename__in=declared) | models.Q(pk__in=current.values("pk"))
    permissions = grantable_permissions(editor).filter(wanted)
    return permissions.select_related("content_type").order_by(
        "content_type__app_label", "content_type__model", "codename"
    )


def _without(hidden: set[str], fields: Any) -> list[Any]:
    """The fields of a fieldset without the hidden ones. A tuple in it is a line of fields."""
    shown = [_without(hidden, each) if isinstance(each, tuple) else each for each in fields]
    return [each for each in shown if each and not (isinstance(each, str) and each in hidden)]


def _row(user: User) -> models.QuerySet[User]:
    return User.objects.filter(pk=user.pk)


def _refuse(reasons: Reasons) -> None:
    if reasons:
        raise PermissionDenied(sentence(reasons))
