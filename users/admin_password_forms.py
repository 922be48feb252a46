"""The admin's forms for a new password.

Django's forms save the whole row as it was read before the password was hashed. This would undo
the changes that other requests have committed meanwhile.
"""

from django.contrib.admin.forms import AdminPasswordChangeForm as DjangoOwnPasswordForm
from django.contrib.auth.forms import AdminPasswordChangeForm as DjangoPasswordForm

from users.models import User


class SavesPasswordAlone:
    """Writes only the password, and the columns that `Revocable.save()` adds."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)  # type: ignore[misc]  # of Django's form
        if commit:
            user.save(update_fields=["password"])
        return user


class PasswordForm(SavesPasswordAlone, DjangoPasswordForm[User]):
    """Sets the password of any user."""


class OwnPasswordForm(SavesPasswordAlone, DjangoOwnPasswordForm):
    """Changes the editor's own password; asks for the old one."""
