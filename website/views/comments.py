"""Comments on an article: writing and deleting one."""

from contextlib import suppress

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.middleware import HtmxDetails

from articles.comments import comment_of, id_of_article, write_comment
from articles.permissions import may_write
from articles.queries import CommentRow
from articles.serializers import CommentSerializer
from users.form_texts import lines_as_shown
from users.limits.throttles import count_request
from website.access import login_required, user_of
from website.article_paths import slug_in_path
from website.forms import Form
from website.pages import see_other, show
from website.views.articles import show_article


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@slug_in_path
def comments(request: HttpRequest, slug: str) -> HttpResponse:
    if request.method != "POST":  # the address of a form with errors, opened again
        return see_other("website:article", slug=slug)
    article_id = id_of_article(slug)
    form = Form({"body": lines_as_shown(request.POST.get("body", ""))}, "comment")

    def write() -> CommentRow:
        count_request(request, "comment")
        serializer = CommentSerializer(data=form.values)
        serializer.is_valid(raise_exception=True)
        return write_comment(user_of(request), article_id, **serializer.validated_data)

    written = form.save(write)
    if HtmxDetails(request):
        context = {"slug": slug, "comment_form": form, "comment": written}
        return form.show(request, "parts/comment_written", context)
    if written is None:
        return show_article(request, slug, form)
    return see_other("website:article", slug=slug, fragment=f"comment-{written.id}")


@require_POST
@login_required
@slug_in_path
def delete(request: HttpRequest, slug: str, pk: str) -> HttpResponse:
    count_request(request, "comment")
    # Without the comment, there is nothing to do: it was deleted in another window, for example.
    with suppress(Http404):
        comment = comment_of(slug, pk)
        if not may_write(request.user, comment):
            raise PermissionDenied("Only the author may delete this comment.")
        comment.delete()
    if HtmxDetails(request):
        return show(request, "parts/comment_deleted")
    return see_other("website:article", slug=slug, fragment="comments")
