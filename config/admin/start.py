"""The figures and rows on the start page of the admin. Editors get only those of the lists that
they may see."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib import admin
from django.db import connection, models
from django.http import HttpRequest
from django.utils import timezone

from articles.models import Article, Comment, Favorite
from users.admin_base import list_of, load_only
from users.audit import AuditEntry
from users.models import User

DAYS = 14
# Rows of a day that are counted, so that the page answers in time on a large site: 14 days of as
# many entries of an index take 70 ms.
MOST_OF_DAY = 5_000
# Favorites have no index by time, because each costs time for every new favorite. Their ids are in
# the order of their times.
NEWEST_FAVORITES = 50_000
ROWS = 8  # of each list
CHARTS: dict[str, type[models.Model]] = {
    "Users": User,
    "Articles": Article,
    "Comments": Comment,
    "Favorites": Favorite,
}

BAR_WIDTH, BAR_STEP, CHART_HEIGHT = 8, 10, 40  # units of the SVG

# In the order of an index, so that PostgreSQL stops after the last row that is counted. Without an
# order it reads all entries of the day first.
COUNT_BY_DAY = """
    SELECT (day AT TIME ZONE 'UTC')::date, (
        SELECT count(*) FROM (
            SELECT FROM {table}
            WHERE created_at >= day AND created_at < day + interval '1 day'
                AND id > -4611686018427387904 -- the condition of the index
            ORDER BY created_at DESC, id DESC LIMIT %(most)s
        ) AS rows_of_day
    ) FROM unnest(%(days)s::timestamptz[]) AS day
"""
COUNT_NEWEST_BY_DAY = """
    SELECT (created_at AT TIME ZONE 'UTC')::date, count(*)
    FROM (SELECT created_at FROM {table} ORDER BY id DESC LIMIT %(newest)s) AS newest GROUP BY 1
"""


class Bar(NamedTuple):
    day: date
    text: str  # the count
    x: int
    y: int
    height: int


@dataclass(frozen=True)
class Chart:
    """The new rows of each of the last DAYS days."""

    title: str
    url: str
    bars: list[Bar]

    @property
    def today(self) -> str:
        return self.bars[-1].text

    @property
    def description(self) -> str:
        """The chart in words, for readers who cannot see it."""
        days = (f"{bar.day:%B} {bar.day.day}: {bar.text}" for bar in self.bars)
        return f"{self.title} by day. {', '.join(days)}."


def add_start_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context of the page. At most 8 statements, whatever the size of the site."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=before) for before in reversed(range(DAYS))]
    return context | {
        "charts": [
            chart(title, model, days) for title, model in CHARTS.items() if may_see(model, request)
        ],
        "latest_comments": newest(Comment, request),
        "hidden_articles": newest(Article, request, hidden_at__isnull=False),
        "hidden_comments": newest(Comment, request, hidden_at__isnull=False),
        "audit_entries": newest(AuditEntry, request, order=("-at", "-id")),
        "may_see_articles": may_see(Article, request),
        "may_see_comments": may_see(Comment, request),
        "may_see_audit_log": may_see(AuditEntry, request),
        "comments_url": list_of(Comment),
        "audit_url": list_of(AuditEntry),
    }


def may_see(model: type[models.Model], request: HttpRequest) -> bool:
    return admin.site.get_model_admin(model).has_view_or_change_permission(request)


def chart(title: str, model: type[models.Model], days: list[datetime]) -> Chart:
    counts, oldest = counts_by_day(model, days)
    tallest = max(1, *(counts.get(day.date(), 0) for day in days))
    bars = []
    for number, day in enumerate(day.date() for day in days):
        count = counts.get(day, 0)
        # A day with rows has a visible bar.
        height = max(2, count * CHART_HEIGHT // tallest) if count else 0
        text = f"{count:,}"
        if count == MOST_OF_DAY or day == oldest:
            text += " or more"
        elif oldest and day < oldest:
            text = "not counted"
        bars.append(Bar(day, text, number * BAR_STEP, CHART_HEIGHT - height, height))
    return Chart(title, list_of(model), bars)


def counts_by_day(
    model: type[models.Model], days: list[datetime]
) -> tuple[dict[date, int], date | None]:
    """The rows by day, and the oldest day with rows that were counted, if others were not."""
    statement = COUNT_NEWEST_BY_DAY if model is Favorite else COUNT_BY_DAY
    table = connection.ops.quote_name(model._meta.db_table)
    parameters: Any = {"days": days, "most": MOST_OF_DAY, "newest": NEWEST_FAVORITES}
    with connection.cursor() as cursor:
        cursor.execute(statement.format(table=table), parameters)
        counts = dict(cursor.fetchall())
    if model is Favorite and sum(counts.values()) == NEWEST_FAVORITES:
        return counts, min(counts)
    return counts, None


def newest(
    model: type[models.Model],
    request: HttpRequest,
    order: tuple[str, ...] = ("-created_at", "-id"),
    **conditions: Any,
) -> list[Any]:
    """The newest rows, with the columns that a list shows."""
    if not may_see(model, request):
        return []
    model_admin: Any = admin.site.get_model_admin(model)
    rows = model_admin.get_queryset(request).filter(**conditions).order_by(*order)[:ROWS]
    columns = model_admin.list_columns
    return list(load_only(rows, columns) if columns else rows)
