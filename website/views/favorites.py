"""The button with which people like an article."""

from typing import Any

from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from articles.models import Favorite
from articles.queries import article_with_id, article_with_slug
from database.errors import is_foreign_key_violation
from users.limits.throttles import count_request
from website.access import login_required, user_of
from website.pages import after_click


@require_POST
@login_required
def favorite(request: HttpRequest, slug: str) -> HttpResponse:
    count_request(request, "favorite")
    article = _id_of(slug)
    try:
        Favorite.objects.add(user_of(request), article)
    except IntegrityError as error:
        if is_foreign_key_violation(error):
            raise Http404("The article was deleted.") from error
        raise
    return _after_click(request, article)


@require_POST
@login_required
def unfavorite(request: HttpRequest, slug: str) -> HttpResponse:
    count_request(request, "favorite")
    article = _id_of(slug)
    Favorite.objects.remove(user_of(request), article)
    return _after_click(request, article)


def _id_of(slug: str) -> int:
    """Raises Http404."""
    # PostgreSQL stores no NUL, and psycopg raises an error for a parameter that contains one.
    rows = [] if "\0" in slug else article_with_slug(slug=slug)
    if not rows:
        raise Http404("There is no such article.")
    return rows[0].pk


def _after_click(request: HttpRequest, article_id: int) -> HttpResponse:
    def values() -> dict[str, Any]:
        rows = article_with_id(pk=article_id, viewer=user_of(request).pk)
        if not rows:
            raise Http404("The article was deleted.")
        return {"article": rows[0], "words": "words" in request.POST}

    return after_click(request, "favorite_button", values)
