"""Checks that a host name or an origin in the settings can match what a browser sends."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

# The hosts that django.http.request.host_validation_re accepts, without a port and a final dot,
# which Django removes. A first dot stands for all subdomains.
_HOST = re.compile(r"\*|\.?[a-z0-9-]+(\.[a-z0-9-]+)*|\[[a-f0-9]*:[a-f0-9.:]+\]", re.IGNORECASE)

# The format of the URL standard (url.spec.whatwg.org, "host serializing").
_WEB_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[(?P<ipv6>[a-f0-9:.]+)\])"
    r"(:(?P<port>[1-9][0-9]{0,4}))?"
)
# The origin of an app or a browser extension, such as capacitor://localhost. Any host is allowed.
_APP_ORIGIN = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*://[^\s/?#*]+")
# django-cors-headers accepts these. Browsers send "null" for a sandboxed page, and Chrome on
# Android sends "file://" for a file.
_OPAQUE_ORIGINS = ("null", "file://")
_DEFAULT_PORTS = {("http", 80), ("https", 443)}


def is_host(text: str) -> bool:
    """Whether an entry of ALLOWED_HOSTS can match a Host header."""
    return _HOST.fullmatch(text) is not None


def is_origin(text: str) -> bool:
    """Whether a browser can send this text as an Origin header (RFC 6454, section 6.2)."""
    if text in _OPAQUE_ORIGINS or _APP_ORIGIN.fullmatch(text):
        return True
    match = _WEB_ORIGIN.fullmatch(text)
    if match is None:
        return False
    port = int(match["port"] or 0)
    if port > 65_535 or (match["scheme"], port) in _DEFAULT_PORTS:
        return False
    try:
        if match["ipv6"]:
            return str(IPv6Address(match["ipv6"])) == match["ipv6"]
        if match["host"].rpartition(".")[2].isdigit():
            IPv4Address(match["host"])
    except AddressValueError:
        return False
    return True
