"""The editor: a new article, and a change of one."""

from functools import partial

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from users.limits.throttles import count_request
from website.access import login_required, user_of
from website.article_form import ArticleForm
from website.article_paths import own_article, slug_in_path
from website.pages import see_other, show

methods = require_http_methods(["GET", "HEAD", "POST"])


@methods
@login_required
def new(request: HttpRequest) -> HttpResponse:
    form = ArticleForm.sent(request.POST)
    if request.method == "POST":
        article = form.publish(user_of(request), partial(count_request, request, "article"))
        if article is not None:
            return see_other("website:article", slug=article.slug)
    return form.show(request, "editor")


@methods
@login_required
@slug_in_path
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    article = own_article(request, slug)
    if request.method != "POST":
        return show(request, "editor", {"form": ArticleForm.of(article), "slug": slug})
    form = ArticleForm.sent(request.POST)
    changed = form.update(article, partial(count_request, request, "article"))
    if changed is None:
        return form.show(request, "editor", {"slug": slug})
    return see_other("website:article", slug=changed.slug)
