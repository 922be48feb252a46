from typing import Any, cast

from django import forms
from django.contrib.auth import authenticate
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from users.models import User
from users.second_factor.devices import enrol, new_device, verify

SALT = "users.second_factor.enrolment"
LIFETIME = 900  # seconds to scan the QR code and to enter the first code


class CodeInput(UnfoldAdminTextInputWidget):
    def format_value(self, value: Any) -> None:
        """Never shows a code again: a refused one is of no more use."""


class CodeField(forms.CharField):
    def __init__(self, **options: Any) -> None:
        attributes = {
            "autofocus": True,
            "autocomplete": "one-time-code",
            "autocapitalize": "none",
            "spellcheck": "false",
        }
        super().__init__(label="Code", max_length=32, widget=CodeInput(attributes), **options)


class OfRequest(forms.Form):
    def __init__(self, request: HttpRequest, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.user = cast(User, request.user)
        self._request = request


class CodeForm(OfRequest):
    """The second step of a login."""

    code = CodeField(help_text="The six digits of your authenticator app, or a recovery code.")

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        verify(self.user, code)
        return code


class PasswordForm(OfRequest):
    """Asks for the password again: somebody may have taken over the session."""

    password = forms.CharField(
        strip=False,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "current-password", "autofocus": True}),
    )

    @sensitive_variables()
    def clean_password(self) -> str:
        """Raises LoginRefused and PasswordQueueFull, as a login does."""
        password: str = self.cleaned_data["password"]
        if authenticate(self._request, username=self.user.email, password=password) is None:
            raise ValidationError("This password is wrong.")
        return password


class PasswordAndCodeForm(PasswordForm):
    code = CodeField(help_text="The six digits of your authenticator app, or a recovery code.")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        del self.fields["code"].widget.attrs["autofocus"]

    def clean(self) -> None:
        # The last check, because it uses the code.
        if not self.errors:
            try:
                verify(self.user, self.cleaned_data["code"])
            except ValidationError as error:
                self.add_error("code", error)


class EnrolmentForm(OfRequest):
    """The first code of a new device. The signed key of the device is in this form and nowhere
    else, so that a second browser with the same session does not get it."""

    enrolment = forms.CharField(widget=forms.HiddenInput)
    code = CodeField(help_text="The six digits that your authenticator app shows now.")

    def __init__(self, *arguments: Any, device: TOTPDevice, **options: Any) -> None:
        super().__init__(*arguments, initial={"enrolment": self.signed(device)}, **options)
        self.device = device

    @staticmethod
    def signed(device: TOTPDevice) -> str:
        return signing.dumps([device.user_id, device.key], salt=SALT)

    @staticmethod
    @sensitive_variables()
    def device_of(user: User, signed: str) -> TOTPDevice | None:
        """The device of a form that was sent. None if the form is older than LIFETIME, or was made
        for another user."""
        try:
            user_pk, key = signing.loads(signed, salt=SALT, max_age=LIFETIME)
        except signing.BadSignature:
            return None
        return new_device(user, key) if user_pk == user.pk else None

    @sensitive_variables()
    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        enrol(self.device, code.replace(" ", ""))
        return code
