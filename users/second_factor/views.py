"""The two pages: the second step of a login, and the page on which staff add and remove their
second factor. `config.admin.site` calls them for users who have given their password."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.views import RedirectURLMixin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView
from django_otp.plugins.otp_totp.models import TOTPDevice

from users.audit import Action, record
from users.models import User
from users.second_factor.devices import (
    device_of,
    new_device,
    new_recovery_codes,
    recovery_codes_left,
    remove_second_factors,
    secret_of,
)
from users.second_factor.forms import (
    CodeForm,
    EnrolmentForm,
    PasswordAndCodeForm,
    PasswordForm,
)
from users.second_factor.sessions import passed

type Context = dict[str, Any]

private = [never_cache, csrf_protect, sensitive_post_parameters()]


@method_decorator(private, name="dispatch")
class CodeView(RedirectURLMixin, FormView):
    """Asks for the code, and opens the page that the user wanted."""

    form_class = CodeForm
    template_name = "admin/second_factor/code.html"
    next_page = "admin:index"
    context: Context = {}

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: CodeForm) -> HttpResponse:
        passed(self.request)
        return super().form_valid(form)

    def get_context_data(self, **options: Any) -> Context:
        following = {self.redirect_field_name: self.get_redirect_url()}
        return super().get_context_data(**options) | self.context | following


enter_code = CodeView.as_view


@never_cache
@csrf_protect
@sensitive_post_parameters()
def manage(request: HttpRequest, context: Context) -> HttpResponse:
    """The page "Second factor". `context` is that of the admin site."""
    user = cast(User, request.user)
    device = device_of(user)
    if device is None:
        return _enrol(request, user, context)
    form = PasswordAndCodeForm(request, request.POST or None)
    if form.is_valid():
        if "remove" in request.POST:
            return _remove(request, user)
        return _show_new_codes(request, user, context, "Recovery codes replaced.")
    context = context | {"form": form, "device": device, "left": recovery_codes_left(user)}
    return _page(request, "manage", context)


def _enrol(request: HttpRequest, user: User, context: Context) -> HttpResponse:
    """Ask for the password, then show the QR code and ask for a code, then show the recovery
    codes."""
    if "enrolment" in request.POST:
        device = EnrolmentForm.device_of(user, request.POST["enrolment"])
        if device is None:
            messages.error(request, "This took too long. Please start again.")
            return HttpResponseRedirect(request.path)
        confirmation = EnrolmentForm(request, request.POST, device=device)
        if confirmation.is_valid():
            passed(request)
            return _show_new_codes(request, user, context, "Second factor added.")
        return _show_key(request, confirmation, context)
    form = PasswordForm(request, request.POST or None)
    if form.is_valid():
        return _show_key(request, EnrolmentForm(request, device=new_device(user)), context)
    return _page(request, "start", context | {"form": form})


def _show_key(request: HttpRequest, form: EnrolmentForm, context: Context) -> HttpResponse:
    import segno  # here, because it takes 80 ms, and few processes show this page

    device: TOTPDevice = form.device
    # White behind the code, also in dark mode: many cameras do not read a light code on black.
    code = segno.make(device.config_url, error="m").svg_inline(scale=5, light="#fff")
    return _page(
        request, "confirm", context | {"form": form, "code": code, "secret": secret_of(device)}
    )


def _show_new_codes(
    request: HttpRequest, user: User, context: Context, details: str
) -> HttpResponse:
    with transaction.atomic():
        codes = new_recovery_codes(user)
        record(user, Action.CHANGE, [user], details=details)
    # The context may be older than the second factor.
    return _page(request, "codes", context | {"codes": codes, "has_permission": True})


def _remove(request: HttpRequest, user: User) -> HttpResponse:
    with transaction.atomic():
        remove_second_factors(User.objects.filter(pk=user.pk))
        record(user, Action.CHANGE, [user], details="Second factor removed.")
    messages.success(request, "Your second factor is removed.")
    return HttpResponseRedirect(request.path)


def _page(request: HttpRequest, name: str, context: Context) -> HttpResponse:
    title = {"title": "Second factor"}
    return TemplateResponse(request, f"admin/second_factor/{name}.html", context | title)
