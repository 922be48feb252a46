"""An article with its comments, and its deletion."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from articles.links import ArticleNotFound
from articles.models import Article
from articles.queries import article_with_slug, comments_on
from database.prepared import together
from users import deletion
from users.limits.throttles import count_request
from website.access import login_required
from website.article_paths import own_article, slug_in_path
from website.forms import Form
from website.pages import see_other, viewer_of
from website.paging import page_number

COMMENTS_PER_PAGE = 30


@require_safe
@slug_in_path
def article(request: HttpRequest, slug: str) -> HttpResponse:
    return show_article(request, slug, Form({}, "comment"))


def show_article(request: HttpRequest, slug: str, comment_form: Form) -> HttpResponse:
    """The page of an article. Raises ArticleNotFound."""
    number, viewer = page_number(request), viewer_of(request)
    # In one round trip.
    articles, comments = together(
        article_with_slug.call(slug=slug, viewer=viewer),
        comments_on.call(
            slug=slug,
            viewer=viewer,
            limit=COMMENTS_PER_PAGE,
            offset=(number - 1) * COMMENTS_PER_PAGE,
        ),
    )
    if not articles:
        raise ArticleNotFound
    if number > 1 and not comments:
        raise Http404("There is no such page.")
    context = {
        "article": articles[0],
        "comments": comments[:COMMENTS_PER_PAGE],
        "comment_form": comment_form,
        "newer_page": number - 1,
        "older_page": number + 1 if len(comments) > COMMENTS_PER_PAGE else 0,
    }
    return comment_form.show(request, "article", context)


@require_POST
@login_required
@slug_in_path
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    count_request(request, "article")
    article = own_article(request, slug)
    deletion.delete(Article.objects.filter(pk=article.pk))
    messages.success(request, "The article was deleted.")
    return see_other("website:home")
