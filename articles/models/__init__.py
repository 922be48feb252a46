"""The tables of articles, tags, favorites and comments.

The database deletes what belongs to a user or to an article together with it (`DB_CASCADE`).
No row is left behind, even if other transactions write at the same moment.
"""

from articles.models.articles import BODY_LENGTH, Article, ArticleQuerySet, OldSlug
from articles.models.authored import Authored
from articles.models.comments import COMMENT_LENGTH, Comment
from articles.models.favorites import Favorite, favorites_count
from articles.models.tags import Tag, Tagging

__all__ = [
    "BODY_LENGTH",
    "COMMENT_LENGTH",
    "Article",
    "ArticleQuerySet",
    "Authored",
    "Comment",
    "Favorite",
    "OldSlug",
    "Tag",
    "Tagging",
    "favorites_count",
]
