"""The connection to the mail server, and what its errors mean."""

from contextlib import suppress
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from types import TracebackType
from typing import Self

from django.conf import settings
from django.core.mail import EmailMessage, mailers
from django.core.mail.backends.base import BaseEmailBackend


class Rejected(Exception):
    """The e-mail can never be delivered. The message contains no address."""


class Unavailable(Exception):
    """The mail server does not accept the e-mail now. The message contains no address."""


def is_configured() -> bool:
    """Whether this site can send e-mails."""
    return "default" in settings.MAILERS


class Delivery:
    """A connection for several e-mails, opened for the first one."""

    def __init__(self) -> None:
        self._connection: BaseEmailBackend | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            with suppress(OSError):  # the e-mails were accepted before
                self._connection.close()

    def send(self, message: EmailMessage) -> None:
        """Raises Rejected and Unavailable."""
        try:
            if self._connection is None:
                connection = mailers.default
                connection.open()
                self._connection = connection
            self._connection.send_messages([message])
        except ValueError as error:
            # Not its text, which contains the address.
            raise Rejected("the address cannot be used") from error
        except OSError as error:
            fault = Rejected if _is_permanent(error) else Unavailable
            raise fault(_described(error)) from None


def _is_permanent(error: OSError) -> bool:
    """Whether the server has refused this recipient or this text for ever (RFC 5321, section
    4.2.1). Other errors, such as a wrong password, are about the settings: they can be repaired."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, SMTPDataError) and error.smtp_code >= 500


def _described(error: OSError) -> str:
    """The error without the text of the server, which may contain addresses."""
    name = type(error).__name__
    if isinstance(error, SMTPRecipientsRefused):
        return f"{name} {', '.join(str(code) for code, _ in error.recipients.values())}"
    if isinstance(error, SMTPResponseException):
        return f"{name} {error.smtp_code}"
    if isinstance(error, SMTPException):
        return f"{name}: {error}"
    return f"{name}: {error.strerror or error}"
