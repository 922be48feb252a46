"""Rows that list an article: taggings and favorites."""

from typing import Self

from django.db import models
from django.db.models.functions import Now

from users.models import User


class OfArticleQuerySet[Row: "OfArticle"](models.QuerySet[Row]):
    def newest_first(self) -> Self:
        """In the order of the articles."""
        return self.order_by("-article_created_at", "-article_id")


class OfArticle(models.Model):
    """A row that lists an article, with copies of the article's columns that lists go by.
    Triggers keep them, so nobody needs to give them; whatever is given gives way.

    An index holds columns of one table alone. Without these, the newest articles of a tag are
    found by sorting all of them, or by reading the newest articles of the site until enough of
    them carry the tag: 9.6 s at a million articles.
    """

    # The defaults serve rows whose article does not exist: they live until their foreign key
    # is checked. That of the author would be checked for nothing.
    article_created_at = models.DateTimeField(db_default=Now(), editable=False)
    article_author = models.ForeignKey(
        User,
        models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
        db_default=0,
        editable=False,
    )

    class Meta:
        abstract = True
