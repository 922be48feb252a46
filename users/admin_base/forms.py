"""Forms of the admin that write only the fields that the editor has changed. Django's own forms
also write a text that only the browser has changed (`users/form_texts.py`)."""

from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from unfold.forms import (
    AdminOwnPasswordChangeForm,
    AdminPasswordChangeForm,
    AuthenticationForm,
)
from unfold.widgets import UnfoldAdminTextareaWidget

from users.audit import Action, record
from users.form_texts import digest, line_as_shown, lines_as_shown
from users.models import User


class TextArea(UnfoldAdminTextareaWidget):
    # Unfold's template has no line break before the text. Browsers drop the first line break of a
    # textarea, which would then be one of the text.
    template_name = "django/forms/widgets/textarea.html"


class TextField(forms.CharField):
    """A text of several lines that keeps its white space. Changed texts have "\\n" line breaks."""

    def __init__(self, *, strip: bool = False, **options: Any) -> None:
        super().__init__(strip=strip, **options)

    def as_shown(self, text: str | None) -> str:
        """The text as a form shows it. If the editor changes nothing, the stored text and the text
        from the browser are equal in this form."""
        return lines_as_shown(text or "")

    def digest(self, text: str | None) -> str:
        return digest(self.as_shown(text))

    def to_python(self, value: str | None) -> str | None:
        # Before the length is checked, because a browser sends two characters for a line break.
        return super().to_python(self.as_shown(value))

    def validate(self, value: str | None) -> None:
        """Refuses a required text that is only white space."""
        super().validate(value and value.strip())

    def has_changed(self, initial: str | None, data: str | None) -> bool:
        return self.as_shown(initial) != self.as_shown(data)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        # No maxlength: browsers count UTF-16 code units, PostgreSQL counts characters.
        return {}


class LineField(TextField):
    """A text of one line. A changed text is trimmed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=True, **options)

    def as_shown(self, text: str | None) -> str:
        return line_as_shown(text or "")


class RememberingBoundField(BoundField):
    """Keeps the value that the page shows, or the digest of a text, in a hidden input."""

    form: "ChangeForm"

    def as_hidden(self, attrs: dict[str, Any] | None = None, **options: Any) -> Any:
        if not isinstance(self.field, TextField):
            return super().as_hidden(attrs, **options)
        shown = self.form.data.get(self.html_initial_name) or self.field.digest(self.initial)
        return forms.HiddenInput().render(self.html_initial_name, shown)

    def _has_changed(self) -> bool:
        if not self.form.has_hidden_inputs:
            return self.field.has_changed(self.initial, self.data)
        if isinstance(self.field, TextField):
            shown: str | None = self.form.data.get(self.html_initial_name)
            return shown != self.field.digest(self.data)
        changed: bool = super()._has_changed()  # type: ignore[misc]  # private, not in the stubs
        return changed


class ChangeForm(forms.ModelForm):
    """Neither validates nor writes a field that the editor has not changed, even if another
    request has changed it after the page was shown. Validates all fields of a new row."""

    bound_field_class = RememberingBoundField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_new = self.instance._state.adding
        for field in self.fields.values():
            field.show_hidden_initial = not (self.is_new or field.disabled)

    @property
    def has_hidden_inputs(self) -> bool:
        """Whether the request has the hidden inputs of this form. A script may not send them."""
        return any(bound.html_initial_name in self.data for bound in self)

    def _post_clean(self) -> None:
        untouched = set() if self.is_new else self.fields.keys() - {*self.changed_data}
        for name in untouched:
            self.cleaned_data.pop(name, None)
        super()._post_clean()  # type: ignore[misc]  # private, not in the stubs
        for name in untouched:
            self.errors.pop(name, None)


class LoginForm(AuthenticationForm):
    # Django's message says that the e-mail may be case-sensitive.
    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "There is no staff account with this e-mail and password."
    }


class SavesPasswordAlone:
    """Writes only the password, and the columns that `Revocable.save()` adds. Django's forms save
    the whole row as it was read before the password was hashed. This would undo the changes that
    other requests have committed meanwhile."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)  # type: ignore[misc]  # of Django's form
        if commit:
            user.save(update_fields=["password"])
        return user


class PasswordForm(SavesPasswordAlone, AdminPasswordChangeForm):
    """Sets the password of any user."""


class OwnPasswordForm(SavesPasswordAlone, AdminOwnPasswordChangeForm):
    """Changes the editor's own password; asks for the old one."""

    def save(self, commit: bool = True) -> User:
        user = super().save(commit)
        record(user, Action.CHANGE, [user], details="Changed password.")
        return user
