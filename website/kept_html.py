"""Keeps HTML that takes long to make."""

import sys
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock

from django.utils.safestring import SafeString


class KeptHtml:
    """HTML by the values that it was made from, up to a number of bytes. What was used least
    recently is removed first. Several threads may use it."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        # The keys are hashes: the values themselves would need as much memory again.
        self._html: OrderedDict[bytes, SafeString] = OrderedDict()
        self._lock = Lock()

    def of(self, values: str, make: Callable[[], SafeString]) -> SafeString:
        """The HTML that `make` has returned for these values, or returns now."""
        key = blake2b(values.encode(errors="surrogatepass"), digest_size=16).digest()
        with self._lock:
            if html := self._html.get(key):
                self._html.move_to_end(key)
                return html
        html = make()
        self._keep(key, html)
        return html

    def _keep(self, key: bytes, html: SafeString) -> None:
        size = sys.getsizeof(html)
        if size > self.most_bytes // 4:  # it would remove too many others
            return
        with self._lock:
            if key in self._html:  # another thread has made it
                return
            self._html[key] = html
            self.bytes += size
            while self.bytes > self.most_bytes:
                self.bytes -= sys.getsizeof(self._html.popitem(last=False)[1])
