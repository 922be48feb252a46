"""The limits on e-mails with a link to set a new password."""

from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from users.limits.client_addresses import client_address
from users.limits.counters import counters
from users.limits.keys import account_key, address_key

WINDOW = 3600  # seconds
MAX_FOR_ACCOUNT = 5
MAX_FROM_ADDRESS = 20


def count_password_reset(request: HttpRequest, email: str) -> bool:
    """Count a request for a link. False if the account has got enough of them, which the page must
    not tell: only an account gets e-mails. The counter does not depend on whether there is an
    account.

    Raises Throttled if the client address has sent too many.
    """
    address = f"reset:{address_key(client_address(request))}"
    if full := counters.count_unless_full({address: MAX_FROM_ADDRESS}, WINDOW):
        raise Throttled(max(1, full[address]))
    return not counters.count_unless_full({f"reset:{account_key(email)}": MAX_FOR_ACCOUNT}, WINDOW)
