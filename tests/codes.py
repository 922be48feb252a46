"""The codes of an authenticator app."""

from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from users.models import User
from users.second_factor.devices import new_device


def add_device(user: User) -> TOTPDevice:
    device = new_device(user)
    device.save()
    return device


def code_of(device: TOTPDevice, later: int = 0) -> str:
    """The code that the app shows now, or this number of times 30 seconds later."""
    return f"{totp(device.bin_key, drift=later):06}"


def wrong_code_of(device: TOTPDevice) -> str:
    valid = {code_of(device, later) for later in range(-2, 4)}
    return next(code for code in map("{:06}".format, range(10)) if code not in valid)
