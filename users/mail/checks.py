"""Warnings of `manage.py check --deploy` about e-mail."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

from users.mail.delivery import is_configured


@register(Tags.mail, deploy=True)
def check_email_settings(**options: Any) -> list[CheckMessage]:
    if not is_configured():
        return [
            Warning(
                "EMAIL_URL is not set: nobody can reset a forgotten password, and users get no"
                " notice when their password or e-mail changes.",
                hint="Set EMAIL_URL and EMAIL_FROM.",
                id="users.W001",
            )
        ]
    if not settings.SITE_URL and any(
        host.startswith(("*", ".")) for host in settings.ALLOWED_HOSTS
    ):
        return [
            Warning(
                "ALLOWED_HOSTS accepts several hosts, and SITE_URL is not set: a request with"
                " another host of them sends a link to that host, with which a password can be"
                " changed.",
                hint="Set SITE_URL.",
                id="users.W002",
            )
        ]
    return []
