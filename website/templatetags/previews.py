"""Parts of lists that many pages show: `{% load previews %}`.

Each part depends only on its values, so its HTML is kept for the next page with the same values.
Without that, a page with ten articles takes twice as long.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.template import Context
from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe

from articles.queries import ArticleInListRow
from website.paging import Pages

register = template.Library()

# Characters. The HTML of longer texts is not kept, to bound the memory.
LONGEST_KEPT = 500
LONGEST_PREVIEW = 1_000  # description, image, tags, and the address of the page


@register.simple_tag(takes_context=True)
def preview(context: Context, article: ArticleInListRow) -> SafeString:
    """An article in a list: `parts/article_preview.html`."""
    shown = article._replace(tag_names=(*article.tag_names,), author__bio=None, total=0)  # type: ignore[arg-type]  # can be hashed
    login_path = context["login_path"]
    texts = (article.description, article.author__image or "", login_path, *article.tag_names)
    render = _preview if _is_kept(texts, LONGEST_PREVIEW) else _preview.__wrapped__
    return render(shown, login_path)


@register.simple_tag
def popular_tags(names: list[str]) -> SafeString:
    """The tags beside a list: `parts/sidebar.html`."""
    render = _popular_tags if _is_kept([], 0) else _popular_tags.__wrapped__
    return render(*names)


@register.simple_tag(takes_context=True)
def pagination(context: Context, pages: Pages) -> SafeString:
    """The links to the pages of a list, if there are two or more: `parts/pagination.html`."""
    if pages.last < 2:
        return SafeString()
    others = context["request"].GET.copy()
    others.pop("page", None)
    text = f"{others.urlencode()}&" if others else ""
    render = _pagination if _is_kept([text], LONGEST_KEPT) else _pagination.__wrapped__
    return render(pages, text)


@lru_cache(maxsize=1_000)
def _pagination(pages: Pages, others: str) -> SafeString:
    return rendered_part("pagination", pages=pages, others=others)


@lru_cache(maxsize=2_000)
def _preview(article: ArticleInListRow, login_path: str) -> SafeString:
    return rendered_part("article_preview", article=article, login_path=login_path)


@lru_cache(maxsize=8)
def _popular_tags(*names: str) -> SafeString:
    return rendered_part("sidebar", names=names)


def _is_kept(texts: Iterable[str], longest: int) -> bool:
    # With DEBUG, somebody may be changing the templates.
    return not settings.DEBUG and sum(map(len, texts)) <= longest


def rendered_part(part: str, **values: Any) -> SafeString:
    html = get_template(f"website/parts/{part}.html").render(values)
    return mark_safe(html)  # noqa: S308 -- the template has escaped the values
