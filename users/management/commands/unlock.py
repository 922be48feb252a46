"""manage.py unlock: allow logins again after too many failures."""

from argparse import ArgumentParser, ArgumentTypeError
from ipaddress import ip_address
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from users.limits.client_addresses import network_of
from users.limits.counters import StoreFailed
from users.limits.keys import account_key, address_key
from users.limits.logins import counter_locations, unlock


class Command(BaseCommand):
    help = (
        "Forget the failed logins of an account from all addresses, or those from an address for "
        "all accounts. Run it as the system user of the server and with the server's SECRET_KEY, "
        "CACHE_URL and TMPDIR, which determine where the counters are. Without CACHE_URL it "
        "unlocks this machine only."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--account", metavar="EMAIL", help="the e-mail of the account")
        what.add_argument(
            "--address", type=_address, help="an IPv4 address, or an IPv6 address: its /64 network"
        )

    def handle(self, *, account: str | None, address: str | None, **options: Any) -> None:
        try:
            if account:
                deleted = unlock(account=account_key(account))
            else:
                deleted = unlock(address=address_key(address or ""))
        except StoreFailed as error:
            raise CommandError(str(error)) from error
        what = f"account {account}" if account else f"address {network_of(address or '')}"
        if deleted:
            self.stdout.write(f"The {what} is unlocked.")
        else:
            self.stdout.write(f"The {what} has no failed logins in {counter_locations()}.")


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not an IPv4 or IPv6 address") from error
