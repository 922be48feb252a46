"""What the lists say about the state of an article or a comment, and where readers find it."""

from articles.models import Article, Authored
from users.admin_base import first_page, states


def is_visible(text: Authored) -> bool:
    return text.hidden_at is None and text.author.hidden_at is None


def state_of(text: Authored) -> str:
    if text.hidden_at:
        return states(("Hidden", "danger"))
    if text.author.hidden_at:
        return states(("Author hidden", "warning"))
    return states(("Visible", "plain"))


def page_of_article(article: Article) -> str | None:
    """The page of the site, or of the API if there is no site. None if the article is hidden."""
    if not is_visible(article):
        return None
    return first_page(f"/article/{article.slug}", f"/api/articles/{article.slug}")
