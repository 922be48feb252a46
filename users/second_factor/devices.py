"""The devices of django-otp: a `TOTPDevice` for the app, and a `StaticDevice` for recovery codes.

Both tables hold secrets. django-otp stores the `key` of a TOTPDevice unencrypted. Recovery codes
are stored as keyed hashes, so they cannot be read from a copy of the database.
"""

import re
from base64 import b32encode
from datetime import datetime
from typing import cast

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from users.models import User

RECOVERY_CODES = 10
WRONG = "This code is wrong, or was used before."


def device_of(user: User) -> TOTPDevice | None:
    return cast(TOTPDevice | None, TOTPDevice.objects.filter(user=user, confirmed=True).first())


def has_second_factor(user: User) -> bool:
    return device_of(user) is not None


def new_device(user: User, key: str | None = None) -> TOTPDevice:
    """A device that is not saved, with this key or a new random one (hexadecimal)."""
    return TOTPDevice(user=user, name="Authenticator app", **({"key": key} if key else {}))


def secret_of(device: TOTPDevice) -> str:
    """The secret for typing, in groups of four characters."""
    return " ".join(re.findall(".{4}", b32encode(device.bin_key).decode()))


@sensitive_variables()
def enrol(device: TOTPDevice, code: str) -> None:
    """Save the device if this is a code of it. Raises ValidationError."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=device.user_id)
        if has_second_factor(device.user):
            raise ValidationError("You have a second factor already.")
        device.save()
        # It stores the time of the code, so that nobody logs in with the same code again.
        if not device.verify_token(code):
            raise ValidationError(WRONG)


@sensitive_variables()
def verify(user: User, code: str) -> None:
    """Use the code, which is then no longer valid. Raises ValidationError."""
    code = re.sub(r"[\s-]", "", code).lower()
    is_of_app = re.fullmatch(r"[0-9]{6}", code)
    model = TOTPDevice if is_of_app else StaticDevice
    # The lock lets only one of two requests use the code.
    with transaction.atomic():
        device = model.objects.select_for_update().filter(user=user, confirmed=True).first()
        if device is None:
            error: str | None = WRONG
        else:
            allowed, why = device.verify_is_allowed()
            if not allowed:
                error = _refusal(why["locked_until"])
            else:
                token = code if is_of_app else _stored(code)
                error = None if device.verify_token(token) else WRONG
    # After the COMMIT, which keeps the number of failures.
    if error:
        raise ValidationError(error)


def _refusal(until: datetime) -> str:
    seconds = max(1, round((until - timezone.now()).total_seconds()))
    return f"Too many codes were wrong. Try again in {seconds} s."


def recovery_codes_left(user: User) -> int:
    return int(StaticToken.objects.filter(device__user=user).count())


def new_recovery_codes(user: User) -> list[str]:
    """Replace the recovery codes of the user. Returns the new ones, which are not stored."""
    codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        device, _ = StaticDevice.objects.get_or_create(user=user, name="Recovery codes")
        device.token_set.all().delete()
        device.token_set.bulk_create(
            StaticToken(device=device, token=_stored(code)) for code in codes
        )
    return codes


def _stored(code: str) -> str:
    """The hash of a recovery code, in the 16 characters of django-otp's column."""
    return salted_hmac(__name__, code, algorithm="sha256").hexdigest()[:16]


def remove_second_factors(users: models.QuerySet[User]) -> int:
    """Remove the devices and the recovery codes of the users. Returns the number of users who had
    a device."""
    with transaction.atomic():
        StaticDevice.objects.filter(user__in=users).delete()
        _, counts = TOTPDevice.objects.filter(user__in=users).delete()
    return int(counts.get(TOTPDevice._meta.label, 0))
