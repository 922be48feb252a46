"""Whether a session of the admin has given the second factor."""

from enum import Enum
from typing import cast

from django.conf import settings
from django.http import HttpRequest

from users.models import User
from users.second_factor.devices import device_of

SESSION_KEY = "second_factor"  # the id of the device; another device needs a new code


class Missing(Enum):
    CODE = "The session has the password, but not the code."
    DEVICE = "The user has no device, but STAFF_SECOND_FACTOR is `required`."


def missing(request: HttpRequest) -> Missing | None:
    """What the session of a staff user needs in addition to the password."""
    pk = _device_pk(request)
    if pk is None:
        return Missing.DEVICE if settings.STAFF_SECOND_FACTOR == "required" else None
    return None if request.session.get(SESSION_KEY) == pk else Missing.CODE


def passed(request: HttpRequest) -> None:
    """Remember that the session has given the second factor. It gets a new key: somebody may know
    the key of a session without the second factor."""
    request.session.cycle_key()
    vars(request).pop(SESSION_KEY, None)
    request.session[SESSION_KEY] = _device_pk(request)


def _device_pk(request: HttpRequest) -> int | None:
    """Remembered in the request, because a page asks three times."""
    remembered = vars(request)
    if SESSION_KEY not in remembered:
        device = device_of(cast(User, request.user))
        remembered[SESSION_KEY] = device and device.pk
    return cast(int | None, remembered[SESSION_KEY])
