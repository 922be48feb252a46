"""Forms of the admin that write only what the editor has changed.

A browser alters text on its way through a form: a textarea sends every line break as CRLF, and a
one-line input drops line breaks. Django's own forms take the altered text for a change.
"""

import re
from hashlib import blake2b
from typing import Any

from django import forms
from django.forms.boundfield import BoundField


class TextField(forms.CharField):
    """A text of many lines, with its white space. Changed texts get "\\n" as line end."""

    def __init__(self, *, strip: bool = False, **options: Any) -> None:
        super().__init__(strip=strip, **options)

    def as_shown(self, text: str | None) -> str:
        """The text as a form shows it. A stored text and the text that a browser sends back are
        equal in this form if the editor has not changed it."""
        return re.sub(r"\r\n?", "\n", text or "")

    def digest(self, text: str | None) -> str:
        """A hash of the text as shown, 32 characters. The page holds it instead of a second copy
        of the text."""
        return blake2b(self.as_shown(text).encode(), digest_size=16).hexdigest()

    def to_python(self, value: str | None) -> str | None:
        # Before the length is checked: a browser sends two characters for a line break.
        return super().to_python(self.as_shown(value))

    def validate(self, value: str | None) -> None:
        """White space alone is not accepted for a required text."""
        super().validate(value and value.strip())

    def has_changed(self, initial: str | None, data: str | None) -> bool:
        return self.as_shown(initial) != self.as_shown(data)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        # Without maxlength: browsers count UTF-16 units, PostgreSQL counts characters.
        return {}


class LineField(TextField):
    """A text of one line, trimmed when it is changed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=True, **options)

    def as_shown(self, text: str | None) -> str:
        return re.sub(r"[\r\n]", "", text or "")


class RememberingBoundField(BoundField):
    """A field whose page remembers what it has shown: the value, or the digest of a text."""

    form: "ChangeForm"

    def as_hidden(self, attrs: dict[str, Any] | None = None, **options: Any) -> Any:
        if not isinstance(self.field, TextField):
            return super().as_hidden(attrs, **options)
        shown = self.form.data.get(self.html_initial_name) or self.field.digest(self.initial)
        return forms.HiddenInput().render(self.html_initial_name, shown)

    def _has_changed(self) -> bool:
        if not self.form.remembers:
            return self.field.has_changed(self.initial, self.data)
        if isinstance(self.field, TextField):
            shown: str | None = self.form.data.get(self.html_initial_name)
            return shown != self.field.digest(self.data)
        changed: bool = super()._has_changed()  # type: ignore[misc]  # private, not in the stubs
        return changed


class ChangeForm(forms.ModelForm):
    """A form that leaves alone each field of an existing row that the editor has not changed: it
    is neither validated nor written, even if somebody else has changed it since the page was shown.
    """

    bound_field_class = RememberingBoundField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_new = self.instance._state.adding
        for field in self.fields.values():
            field.show_hidden_initial = not (self.is_new or field.disabled)

    @property
    def remembers(self) -> bool:
        """Whether the page was one of these, and not a request that a program has made up."""
        return any(bound.html_initial_name in self.data for bound in self)

    def _post_clean(self) -> None:
        untouched = set() if self.is_new else self.fields.keys() - {*self.changed_data}
        for name in untouched:
            self.cleaned_data.pop(name, None)
        super()._post_clean()  # type: ignore[misc]  # private, not in the stubs
        for name in untouched:
            self.errors.pop(name, None)
