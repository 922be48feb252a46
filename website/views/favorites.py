"""The button with which people like an article."""

from typing import Any

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from articles.comments import id_of_article
from articles.links import ArticleNotFound
from articles.models import Favorite
from articles.queries import article_with_id
from database.errors import is_foreign_key_violation
from users.limits.throttles import count_request
from website.access import login_required, user_of
from website.article_paths import slug_in_path
from website.pages import after_click


@require_POST
@login_required
@slug_in_path
def favorite(request: HttpRequest, slug: str) -> HttpResponse:
    count_request(request, "favorite")
    article = id_of_article(slug)
    try:
        Favorite.objects.add(user_of(request), article)
    except IntegrityError as error:
        if is_foreign_key_violation(error):
            raise ArticleNotFound from error
        raise
    return _after_click(request, article)


@require_POST
@login_required
@slug_in_path
def unfavorite(request: HttpRequest, slug: str) -> HttpResponse:
    count_request(request, "favorite")
    article = id_of_article(slug)
    Favorite.objects.remove(user_of(request), article)
    return _after_click(request, article)


def _after_click(request: HttpRequest, article_id: int) -> HttpResponse:
    def values() -> dict[str, Any]:
        rows = article_with_id(pk=article_id, viewer=user_of(request).pk)
        if not rows:
            raise ArticleNotFound
        return {"article": rows[0], "words": "words" in request.POST}

    return after_click(request, "favorite_button", values)
