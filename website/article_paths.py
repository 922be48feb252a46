"""Paths with the slug of an article."""

from functools import update_wrapper
from typing import Concatenate, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import NotFound

from articles.links import ArticleNotFound, redirect_to_current_slug
from articles.models import Article
from articles.permissions import may_write
from articles.queries import current_slug
from website.access import View
from website.pages import show


def slug_in_path[**P](view: View[Concatenate[str, P]]) -> View[Concatenate[str, P]]:
    """A view with the slug of an article. A GET for an old slug is redirected to the current slug.
    A form for an old slug is one for the current slug: the article got another title after the page
    with the form was opened. Without an article, a page says so."""

    def found(
        request: HttpRequest, /, slug: str, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponse:
        try:
            return view(request, slug, *args, **kwargs)
        except NotFound as error:
            if isinstance(error, ArticleNotFound):
                if headers := redirect_to_current_slug(request):
                    return HttpResponse(status=301, headers=headers)
                rows = current_slug(any_slug=slug) if request.method == "POST" else []
                if rows and rows[0].slug != slug:
                    return found(request, rows[0].slug, *args, **kwargs)
            return show(request, "no_article", status=404)

    return cast(View[Concatenate[str, P]], update_wrapper(found, view))


def own_article(request: HttpRequest, slug: str) -> Article:
    """The article, for its author to change. Raises ArticleNotFound, or PermissionDenied for
    everybody else."""
    article = Article.objects.with_slug(slug).first()
    if article is None:
        raise ArticleNotFound
    if not may_write(request.user, article):
        raise PermissionDenied("Only the author may change or delete this article.")
    return article
