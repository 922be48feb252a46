"""Comments on articles."""

from django.db import models
from django.db.models.functions import Length
from django.db.models.lookups import LessThanOrEqual

from articles.models.articles import Article
from articles.models.authored import Authored, AuthoredQuerySet
from articles.texts import visible

COMMENT_LENGTH = 10_000


class Comment(Authored):
    article = models.ForeignKey(Article, models.DB_CASCADE, related_name="comments", db_index=False)
    body = models.TextField(max_length=COMMENT_LENGTH, validators=[visible])

    objects = AuthoredQuerySet["Comment"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(body=""), name="comment_given"),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("body"), COMMENT_LENGTH), name="comment_length"
            ),
        ]
        indexes = [
            models.Index(
                fields=["article", "-created_at", "-id"],
                include=["author", "hidden_at"],
                name="newest_comments_of_article",
            ),
            # Used only when a user is deleted.
            models.Index(fields=["author"], name="comments_of_author"),
        ]

    def __str__(self) -> str:
        return f"comment of user {self.author_id} on article {self.article_id}"
