"""The key of a page: the position in a list where the page begins.

For an offset, PostgreSQL reads the index entries of all articles before the page: 0.5 s near the
end of a million articles. For a key, it starts to read the index at the page: 0.4 ms. Also, a page
after a key repeats and skips no article when others are published or deleted.
"""

import hmac
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from django.conf import settings
from django.db.models import Field, Func
from django.db.models.lookups import LessThan
from django.utils.crypto import constant_time_compare

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PARTS = struct.Struct(">qq8s")  # the time in microseconds, the id, the signature
_TEXT = re.compile("[A-Za-z0-9_-]{32}")


class InvalidPageKey(ValueError):
    """This server did not make the text."""


class PageKey(NamedTuple):
    """The last article before the page. The article itself may have been deleted."""

    created_at: datetime
    article_id: int

    def encoded(self) -> str:
        """32 characters that need no escapes in a URL. They are signed with SECRET_KEY."""
        time = (self.created_at - _EPOCH) // _MICROSECOND
        signature = _signature(time, self.article_id)
        return urlsafe_b64encode(_PARTS.pack(time, self.article_id, signature)).decode()

    @classmethod
    def decoded(cls, text: str) -> Self:
        """The key that `encoded()` made this text of. Raises InvalidPageKey for any other text."""
        if not _TEXT.fullmatch(text):
            raise InvalidPageKey
        time, article_id, signature = _PARTS.unpack(urlsafe_b64decode(text))
        if not constant_time_compare(signature, _signature(time, article_id)):
            raise InvalidPageKey
        return cls(_EPOCH + time * _MICROSECOND, article_id)


def comes_after(key: PageKey, created_at: str, article: str) -> LessThan:
    """Whether an article comes after the key in a list, newest first.

    The arguments name the columns with the time and the id of the article. Two rows are compared,
    because PostgreSQL then starts to read an index of both columns at the key.

    The values of the key are subqueries, so that the plan does not depend on them. Otherwise
    PostgreSQL estimates that few articles are left near the end of a list, and plans every such
    page anew, which takes longer than to read it.
    """
    values = [Func(value, template="(SELECT %(expressions)s)") for value in key]
    return LessThan(_row(created_at, article), _row(*values))


def _row(*columns: str | Func) -> Func:
    return Func(*columns, function="ROW", output_field=Field())


def _signature(time: int, article_id: int) -> bytes:
    # Django's `salted_hmac` takes six times as long: 2 % of a list request.
    key = b"articles.page_keys" + settings.SECRET_KEY.encode()
    return hmac.digest(key, b"%d %d" % (time, article_id), "sha256")[:8]
