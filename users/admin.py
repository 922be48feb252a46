from typing import cast
from urllib.parse import quote

from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.forms import UserChangeForm, UserCreationForm

from users.admin_forms import ChangeForm, PasswordForm
from users.admin_links import first_page, states
from users.admin_rights import LimitedGroupAdmin, LimitedUserAdmin, StatusForm
from users.audit import Action
from users.audit_admin import AuditEntryAdmin as AuditEntryAdmin  # registers itself
from users.models import User
from users.revocation import end_tokens_of
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


@admin.register(Group)
class GroupAdmin(LimitedGroupAdmin):
    pass


@admin.register(User)
class UserAdmin(LimitedUserAdmin):
    form = UserForm
    add_form = CreationForm
    change_password_form = PasswordForm
    list_display = ("username", "email", "state", "created_at", "related")
    list_columns = (
        *("username", "email", "created_at", "hidden_at"),
        *("is_active", "is_staff", "is_superuser"),
    )
    name_columns = ("username",)
    list_filter = ("is_active", "is_staff", "created_at")
    search_fields = ("username", "email")
    ordering = ("-created_at", "-id")
    date_hierarchy = "created_at"
    readonly_fields = ("created_at", "last_login", "second_factor")
    actions = ("log_out_everywhere", "remove_second_factor")
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

    def view_on_site(self, user: User) -> str | None:
        """The profile on the site, or in the API if there is no site."""
        if user.hidden_at:
            return None
        name = quote(user.username)
        return first_page(f"/profile/{name}", f"/api/profiles/{name}")

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        # Django opens no transaction here. The entry in the audit log is of the same transaction.
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    @admin.action(
        description="Log out everywhere",
        permissions=["change"],
        location=[ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM],
    )
    def log_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        with transaction.atomic():
            count = end_tokens_of(queryset)
            self.log_rows(request, queryset, Action.LOG_OUT)
        users = "1 user is" if count == 1 else f"{count} users are"
        self.message_user(request, f"{users} logged out everywhere.", messages.SUCCESS)

    @admin.display(boolean=True, description="second factor")
    def second_factor(self, user: User) -> bool:
        return has_second_factor(user)

    def has_remove_second_factor_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @admin.action(
        description="Remove the second factor",
        permissions=["remove_second_factor"],
        location=[ActionLocation.CHANGE_FORM],
    )
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """For users who have lost their device and their recovery codes. Their own second factor,
        superusers remove on the page that asks for a code."""
        others = queryset.exclude(pk=cast(User, request.user).pk)
        with transaction.atomic():
            count = remove_second_factors(others)
            if count:
                self.log_rows(request, others, Action.CHANGE, details="Second factor removed.")
        if count:
            self.message_user(request, "The second factor is removed.", messages.SUCCESS)
        elif others:
            self.message_user(request, "This user has no second factor.", messages.WARNING)
        else:
            text = "Remove your own second factor on the page “Second factor”."
            self.message_user(request, text, messages.ERROR)
