"""Numbered pages of a list."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest

PER_PAGE = 10
# A page further back reads the index entries of all articles before it.
LAST_PAGE = 100_000


class Pages(NamedTuple):
    number: int
    rows: int
    """The rows of the whole list."""

    @property
    def last(self) -> int:
        return min(LAST_PAGE, -(-self.rows // PER_PAGE))

    def numbers(self) -> Iterator[int | str]:
        """The current page and those that readers go to from there, with "…" for the others."""
        paginator = Paginator(range(self.last * PER_PAGE), PER_PAGE)
        return iter(paginator.get_elided_page_range(self.number, on_each_side=2, on_ends=1))


def page_number(request: HttpRequest) -> int:
    """The parameter `page`, 1 without one. Raises Http404 if it is no number of a page."""
    text = request.GET.get("page") or "1"
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= LAST_PAGE:
        raise Http404("There is no such page.")
    return int(text)


def offset_of(number: int) -> int:
    """The rows before a page."""
    return (number - 1) * PER_PAGE
