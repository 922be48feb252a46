"""What e-mails say, and to whom they go."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.db import models
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from users.models import User


class Kind(models.TextChoices):
    """The kinds of e-mails. The label is the subject, and `mail/<value>.txt` is the text."""

    PASSWORD_RESET = "password_reset", "Set a new password for Conduit"
    PASSWORD_CHANGED = "password_changed", "The password of your Conduit account was changed"
    EMAIL_CHANGED = "email_changed", "The e-mail of your Conduit account was changed"
    EMAIL_AND_PASSWORD_CHANGED = (
        "email_and_password_changed",
        "The e-mail and the password of your Conduit account were changed",
    )
    ACCOUNT_DELETED = "account_deleted", "Your Conduit account was deleted"


def reset_message(typed: str, site_url: str) -> EmailMessage | None:
    """The e-mail with a link to set a new password. None if no active account has this e-mail.

    It goes to the e-mail of the account, not to `typed`, which may be another mailbox that looks
    alike. Its token is made now, and stored nowhere.
    """
    try:
        user = User.objects.get_by_natural_key(typed)
    except User.DoesNotExist:
        return None
    if not may_reset(user):
        return None
    path = reverse(
        "website:password_reset_confirm",
        args=[
            urlsafe_base64_encode(force_bytes(user.pk)),
            default_token_generator.make_token(user),
        ],
    )
    minutes = settings.PASSWORD_RESET_TIMEOUT // 60
    context = {"link": f"{site_url}{path}", "minutes": minutes}
    return _message(Kind.PASSWORD_RESET, user.email, context)


def may_reset(user: User) -> bool:
    """Whether the user may set a new password by e-mail. A suspended user may not, and neither may
    one whose password a moderator has disabled."""
    return user.is_active and user.has_usable_password()


def notice(kind: Kind, address: str, at: datetime) -> EmailMessage:
    """The e-mail about a change of an account."""
    reset = settings.SITE_URL and settings.SITE_URL + reverse("website:password_reset")
    return _message(kind, address, {"at": at, "reset": reset})


def _message(kind: Kind, address: str, context: dict[str, object]) -> EmailMessage:
    return EmailMessage(
        subject=kind.label,
        body=render_to_string(f"mail/{kind}.txt", context).strip() + "\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[address],
        # No automatic answer, such as one of an absent person (RFC 3834, section 5).
        headers={"Auto-Submitted": "auto-generated"},
    )
