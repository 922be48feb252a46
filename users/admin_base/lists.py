"""Lists of the admin that answer within a second for tables of any size.

A list counts and shows at most MAX_ROWS rows. It sorts only by columns that an index can sort, and
filters only by the filters that it shows.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any, cast

from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest
from django.utils.timezone import make_aware
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateFilter
from unfold.utils import parse_date_str

from users.admin_base.links import LinkedModelAdmin, PartialChangeList

MAX_ROWS = 10_000
# For rows that an index finds. Not "-id": PostgreSQL would read all rows in this order, and skip
# those that the filter excludes.
NEWEST_FIRST = ((models.F("id") + 0).desc(),)


class ManyRows(int):
    """A number of rows that were not all counted. Templates show it as "more than 10,000"."""

    def __str__(self) -> str:
        return f"more than {int(self):,}"


class ListPaginator(Paginator):
    @cached_property
    def count(self) -> int:
        # Without the order, PostgreSQL may count the rows in any index.
        rows = cast(models.QuerySet, self.object_list).order_by().values("pk")
        count = rows[: MAX_ROWS + 1].count()
        return ManyRows(MAX_ROWS) if count > MAX_ROWS else count


class ChangeList(PartialChangeList):
    def get_filters(self, request: HttpRequest) -> Any:
        """Raises ValueError for a parameter of no filter: it could read a whole table."""
        specs, has_filters, others, _, has_active = super().get_filters(request)
        if others:
            raise ValueError(f"The list has no filter {', '.join(others)}.")
        # No filter joins rows that could make a row appear twice.
        return specs, has_filters, {}, False, has_active

    def get_ordering_field(self, field_name: Any) -> Any:
        """None for a column that does not sort: Django would sort by any column of `?o=`."""
        return (
            super().get_ordering_field(field_name)
            if field_name in (self.sortable_by or ())
            else None
        )


class LargeListAdmin(LinkedModelAdmin):
    # The columns and annotations by which the list can be sorted. An index must give their order.
    sort_columns: tuple[str, ...] = ()
    paginator = ListPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a facet counts all rows of each choice
    list_filter_submit = True

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return ChangeList

    def get_sortable_by(self, request: HttpRequest) -> list[Any]:
        columns = self.get_list_display(request)
        return [column for column in columns if self._order_of(column) in self.sort_columns]

    def _order_of(self, column: str | Callable[..., Any]) -> Any:
        """The column of the table by which a column of the list sorts, or None."""
        if callable(column):
            return getattr(column, "admin_order_field", None)
        return getattr(getattr(self, column, None), "admin_order_field", column)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return True  # `ChangeList` refuses every parameter that is not of a filter


class RelationFilter(AutocompleteSelectFilter):
    """Rows that belong to another row, which the editor finds by typing its name."""

    def expected_parameters(self) -> list[str | None]:
        return [self.lookup_kwarg]  # not `…__isnull`, which reads the whole table

    @property
    def pk(self) -> int:
        """Raises IncorrectLookupParameters if it is no number."""
        try:
            return int(self.value())
        except ValueError as error:
            raise IncorrectLookupParameters(error) from error


class DateFilter(RangeDateFilter):
    """Rows from the first to the last day, in UTC. Both days are included."""

    def queryset(self, request: HttpRequest, queryset: models.QuerySet) -> models.QuerySet:
        if first := self._day("_from"):
            queryset = queryset.filter(**{f"{self.field_path}__gte": _start_of(first)})
        if last := self._day("_to"):
            end = _start_of(last + timedelta(days=1))
            queryset = queryset.filter(**{f"{self.field_path}__lt": end})
        return queryset

    def _day(self, suffix: str) -> date | None:
        text = cast(str, self.used_parameters.get(f"{self.field_path}{suffix}") or "")
        day: date | None = parse_date_str(text)
        if text and day is None:
            raise IncorrectLookupParameters(f"{text} is no date.")
        return day


def _start_of(day: date) -> datetime:
    return make_aware(datetime.combine(day, time.min))
