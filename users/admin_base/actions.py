"""Actions of the admin that ask for a confirmation and a reason, for one row or for many."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from users.admin_base.links import load_only
from users.admin_base.log import REASON_LENGTH
from users.retries import retry_after_deadlock

SHOWN = 20  # rows on a confirmation page
MAX_COUNTED = 10_000  # rows of a model that a confirmation page counts


class ReasonForm(forms.Form):
    reason = forms.CharField(
        required=False,
        max_length=REASON_LENGTH,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text="Optional. It is shown in the audit log.",
    )


class ActionRefused(Exception):
    """Raised by `run`: nothing is changed, and the editor sees the text."""


class ConfirmedAction:
    """An action of the list of a model, and a button on the page of a row.

    Nothing is changed without a POST from its confirmation page. `ModelAdmin.actions` contains an
    instance.
    """

    name = ""  # in addresses and forms
    label = ""  # of the button
    explanation = ""  # on the confirmation page: what happens
    # The ModelAdmin has a method has_<permission>_permission().
    permission = ""
    icon = ""
    dangerous = False
    has_button = True  # on the page of a row
    form_class: type[forms.Form] = ReasonForm
    do_not_call_in_templates = True  # Django's templates call what is callable

    def __init__(self) -> None:
        # Django reads these from functions.
        self.__name__ = self.name
        self.short_description = f"{self.label} selected %(verbose_name_plural)s"
        self.allowed_permissions = (self.permission,)

    def applies_to(self, row: Any) -> bool:
        """Whether the page of the row shows the button."""
        return True

    def rows(self, model_admin: Any, selected: QuerySet[Any]) -> QuerySet[Any]:
        """The selected rows that the action changes, without order and joins."""
        return plain(selected)

    def problems(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], *, lock: bool
    ) -> list[str]:
        """Sentences that say why the editor may not change these rows. If there is one, the action
        is refused.

        `lock` is true in the transaction of the action: the result must stay true until its end.
        """
        return []

    def form(self, request: HttpRequest, rows: QuerySet[Any], data: Any) -> forms.Form:
        """The form of the confirmation page. `data` is None before the confirmation."""
        return self.form_class(data)

    def context(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any]
    ) -> dict[str, Any]:
        """What else the confirmation page shows."""
        return {}

    def run(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], form: forms.Form
    ) -> str:
        """Change the rows and log it, in a transaction. Returns the message for the editor."""
        raise NotImplementedError

    def __call__(
        self, model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse:
        return self.respond(model_admin, request, queryset, request.get_full_path())

    def respond(
        self, model_admin: Any, request: HttpRequest, selected: QuerySet[Any], back: str
    ) -> HttpResponse:
        """The confirmation page; or after the confirmation, a redirect to `back`."""
        confirmed = request.method == "POST" and "post" in request.POST
        # Without rows that were added after the confirmation page was shown.
        newest = request.POST.get("newest") if confirmed else None
        rows = self.rows(model_admin, selected.filter(pk__lte=newest) if newest else selected)
        form = self.form(request, rows, request.POST if confirmed else None)
        if not rows.exists():
            text = f"Nothing to do: {self.label.lower()} applies to none of the selected rows."
            model_admin.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(back)
        if not (confirmed and form.is_valid()):
            return self._page(model_admin, request, rows, form, back)

        def run() -> str:
            if problems := self.problems(model_admin, request, rows, lock=True):
                raise PermissionDenied(" ".join(problems))
            return self.run(model_admin, request, rows, form)

        try:
            model_admin.message_user(request, retry_after_deadlock(run), messages.SUCCESS)
        except ActionRefused as error:
            model_admin.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(back)

    def _page(
        self,
        model_admin: Any,
        request: HttpRequest,
        rows: QuerySet[Any],
        form: forms.Form,
        back: str,
    ) -> HttpResponse:
        across = request.POST.get("select_across") == "1"
        pks = rows.order_by("-pk").values_list("pk", flat=True)
        count = rows[: MAX_COUNTED + 1].count()
        context = {
            **model_admin.admin_site.each_context(request),
            "title": f"{self.label} {counted(model_admin.opts, count)}",
            "opts": model_admin.opts,
            "action": self,
            "problems": self.problems(model_admin, request, rows, lock=False),
            "form": form,
            "back": back,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "across": int(across),
            "newest": pks.first(),
            "pks": pks[:1] if across else pks,
            "shown": shown(model_admin, rows),
            "more": max(0, count - SHOWN),
            **self.context(model_admin, request, rows),
        }
        request.current_app = model_admin.admin_site.name
        return TemplateResponse(request, "admin/confirmation.html", context)

    def link(self, model_admin: Any, row: Model) -> dict[str, Any]:
        """The button on the page of the row, for Unfold's template."""
        name = f"{model_admin.admin_site.name}:{row._meta.app_label}_{row._meta.model_name}_action"
        return {
            "title": self.label,
            "icon": self.icon,
            "variant": ActionVariant.DANGER if self.dangerous else ActionVariant.DEFAULT,
            "attrs": {"aria-label": self.label},  # without the name of the icon
            "dialog": None,
            "path": reverse(name, args=[row.pk, self.name]),
        }


def plain(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The rows without the order, annotations and joins of a list."""
    result: QuerySet[Any] = rows.model._base_manager.filter(pk__in=rows.order_by().values("pk"))
    return result


def counted(opts: Any, count: int) -> str:
    """Such as "1 article", or "more than 100,000 articles"."""
    name = model_ngettext(opts, count)
    return f"{count:,} {name}" if count <= MAX_COUNTED else f"more than {MAX_COUNTED:,} {name}"


def shown(model_admin: Any, rows: QuerySet[Any]) -> Iterable[dict[str, str]]:
    """The newest rows, as a confirmation page shows them."""
    described = []
    # Without large texts that are not shown.
    if columns := {*model_admin.name_columns, *model_admin.list_columns}:
        rows = load_only(rows, columns)
    for row in rows.order_by("-pk")[:SHOWN]:
        name, details = model_admin.describe(row)
        described.append({"name": name, "details": details, "url": model_admin.url_of(row)})
    return described


class Delete(ConfirmedAction):
    """Replaces Django's action of this name. Works for any number of rows, because it does not
    load them."""

    name = "delete_selected"
    label = "Delete"
    explanation = "All of the following will be deleted. This cannot be undone."
    permission = "delete"
    dangerous = True
    has_button = False  # Unfold's page has a link to Django's view

    def problems(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], *, lock: bool
    ) -> list[str]:
        _, _, forbidden, protected = model_admin.get_deleted_objects(rows, request)
        return [*(f"Your account may not delete: {name}." for name in forbidden), *protected]

    def context(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any]
    ) -> dict[str, Any]:
        _, counts, forbidden, protected = model_admin.get_deleted_objects(rows, request)
        return {"model_count": counts.items(), "perms_lacking": forbidden, "protected": protected}

    def run(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], form: forms.Form
    ) -> str:
        count = rows.count()
        model_admin.log_deletions(request, rows)
        model_admin.delete_queryset(request, rows)
        return f"Successfully deleted {counted(model_admin.opts, count)}."


delete_selected = Delete()
