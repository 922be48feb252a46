"""The admin pages of articles, comments, tags and favorites. Django imports this package."""

from articles.admin.articles import ArticleAdmin
from articles.admin.comments import CommentAdmin
from articles.admin.favorites import FavoriteAdmin
from articles.admin.tags import TagAdmin

__all__ = ["ArticleAdmin", "CommentAdmin", "FavoriteAdmin", "TagAdmin"]
