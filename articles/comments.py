"""Comments: who writes what on which article. The API and the site use these functions."""

import re

from django.db import IntegrityError
from django.http import Http404
from rest_framework.generics import get_object_or_404

from articles.links import ArticleNotFound
from articles.models import Article, Comment
from articles.queries import CommentRow
from database.errors import is_foreign_key_violation
from users.models import User


def id_of_article(slug: str) -> int:
    """Raises ArticleNotFound."""
    try:
        return Article.objects.with_slug(slug).values_list("pk", flat=True).get()
    except Article.DoesNotExist as error:
        raise ArticleNotFound from error


def write_comment(author: User, article_id: int, body: str) -> CommentRow:
    """Save a comment. `body` is valid (`CommentSerializer`). Raises ArticleNotFound if the article
    was deleted."""
    try:
        comment = Comment.objects.create(author=author, article_id=article_id, body=body)
    except IntegrityError as error:
        if is_foreign_key_violation(error):
            raise ArticleNotFound from error
        raise
    return CommentRow(
        id=comment.pk,
        body=comment.body,
        created_at=comment.created_at,
        updated_at=comment.updated_at,
        author__username=author.username,
        author__bio=author.bio,
        author__image=author.image,
        following=False,  # users cannot follow themselves
    )


def comment_of(slug: str, pk: str) -> Comment:
    """The comment with this id on the article with this slug. Raises ArticleNotFound, or Http404 if
    the article has no such comment."""
    article_id = id_of_article(slug)  # first, so that the article's 404 comes first
    # int() would also accept "1_000" and the digits of other scripts.
    if not re.fullmatch("[0-9]+", pk):
        raise Http404
    return get_object_or_404(Comment.objects.visible(), article=article_id, pk=pk)
