from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.contrib.filters.admin import RadioFilter
from unfold.forms import UserChangeForm, UserCreationForm

from users.admin.moderation import SuspendableAdmin
from users.admin.rights import LimitedGroupAdmin, LimitedUserAdmin, StatusForm
from users.admin_base import (
    ChangeForm,
    ConfirmedAction,
    DateFilter,
    PasswordForm,
    counted,
    editor_of,
    first_page,
    plain,
    states,
)
from users.audit import Action
from users.models import User
from users.names import MAX_INPUT_LENGTH, fold
from users.second_factor import has_second_factor, remove_second_factors

admin.site.unregister(Group)
# The pages of django-otp show the secrets of all devices.
admin.site.unregister([TOTPDevice, StaticDevice])


class CreationForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email", "username")


class UserForm(StatusForm, ChangeForm, UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        password: Any = self.fields["password"]
        password.widget.template_name = "admin/users/user/password.html"
        password.help_text = ""


class RemoveSecondFactor(ConfirmedAction):
    name = "remove_second_factor"
    label = "Remove the second factor"
    explanation = (
        "For users who have lost their device and their recovery codes. Afterwards, they log in"
        " with their password alone."
    )
    permission = "remove_second_factor"
    icon = "phonelink_erase"
    dangerous = True

    def applies_to(self, row: User) -> bool:
        return has_second_factor(row)

    def rows(self, model_admin: Any, selected: QuerySet[Any]) -> QuerySet[Any]:
        return plain(selected).filter(pk__in=TOTPDevice.objects.values("user"))

    def problems(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], *, lock: bool
    ) -> list[str]:
        own = rows.filter(pk=editor_of(request).pk).exists()
        return ["Remove your own second factor on the page “Second factor”."] if own else []

    def run(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], form: forms.Form
    ) -> str:
        reason = form.cleaned_data["reason"]
        details = "Second factor removed."
        model_admin.log_rows(request, rows, Action.CHANGE, reason=reason, details=details)
        count = remove_second_factors(rows)
        return f"The second factor of {counted(model_admin.opts, count)} is removed."


@admin.register(Group)
class GroupAdmin(LimitedGroupAdmin):
    pass


class UserStateFilter(RadioFilter):
    title = "state"
    parameter_name = "state"
    conditions = {
        "suspended": Q(is_active=False),
        "hidden": Q(hidden_at__isnull=False),
        "staff": Q(is_staff=True),
        "superusers": Q(is_superuser=True),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.capitalize()) for name in self.conditions]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        return queryset.filter(self.conditions.get(self.value() or "", Q()))


@admin.register(User)
class UserAdmin(SuspendableAdmin, LimitedUserAdmin):
    form = UserForm
    add_form = CreationForm
    change_password_form = PasswordForm
    list_display = ("username", "email", "state", "created_at", "related")
    list_columns = (
        *("username", "email", "created_at", "hidden_at"),
        *("is_active", "is_staff", "is_superuser"),
    )
    name_columns = ("username",)
    list_filter = (UserStateFilter, ("created_at", DateFilter))
    search_fields = ("username_folded", "email_folded")
    search_help_text = "The start of a name or e-mail"
    sort_columns = ("username", "email", "created_at")
    ordering = ("-created_at", "-id")
    readonly_fields = ("created_at", "last_login", "second_factor")
    actions = (*SuspendableAdmin.actions, RemoveSecondFactor())
    fieldsets = (
        (None, {"fields": ("username", "email", "password")}),
        ("Profile", {"fields": ("bio", "image")}),
        (
            "Permissions",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        ("Security", {"fields": ("second_factor",)}),
        ("Dates", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = (  # type: ignore[assignment]  # Unfold's default is an empty tuple
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("email", "username", "usable_password", "password1", "password2"),
            },
        ),
    )

    @admin.display
    def state(self, user: User) -> str:
        labels = [
            ("Suspended", "danger", not user.is_active),
            ("Hidden", "warning", user.hidden_at is not None),
            ("Superuser", "info", user.is_superuser),
            ("Staff", "info", user.is_staff and not user.is_superuser),
        ]
        shown = [(text, kind) for text, kind, holds in labels if holds]
        return states(*shown or [("Active", "plain")])

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """The users whose name or e-mail starts with the text, in any spelling."""
        if not (start := fold(search_term.strip()[:MAX_INPUT_LENGTH])):
            return queryset, False
        starts = Q(username_folded__startswith=start) | Q(email_folded__startswith=start)
        return queryset.filter(starts), False

    def view_on_site(self, user: User) -> str | None:
        """The profile on the site, or in the API if there is no site."""
        if user.hidden_at:
            return None
        name = quote(user.username)
        return first_page(f"/profile/{name}", f"/api/profiles/{name}")

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        # Django opens no transaction here. The password and the entry in the audit log need one.
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    @admin.display(boolean=True, description="second factor")
    def second_factor(self, user: User) -> bool:
        return has_second_factor(user)

    def has_remove_second_factor_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)
