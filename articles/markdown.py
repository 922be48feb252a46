"""Renders Markdown that users wrote as HTML that is safe to show.

Import this module in the function that renders: it takes 35 ms and 7 MB, and the API renders
nothing.

Two steps make it safe. markdown-it escapes HTML in the text, so that readers see it as text. nh3
then parses the result as browsers do (HTML5), and keeps only the elements and attributes below.
"""

import re
from collections.abc import Iterator
from typing import cast

from django.utils.html import linebreaks
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from nh3 import Cleaner

# Quotes and lists inside each other: a quote is 1 level, a list is 2.
DEEPEST = 20
# Calls of the parser's rules. 200,000 characters of a README need 40,000 at most (50 READMEs of
# PyPI), and 0.2 s. The slowest known texts need 0.6 s until they reach a limit.
MOST_STEPS = 80_000
# READMEs of 200,000 characters have 8,000. A table has up to 65,536 cells more than its text.
MOST_TOKENS = 60_000
# Characters of addresses and titles. A text can use one definition of a link many times.
LONGEST_ATTRIBUTES = 1_000_000

HEADINGS = {"h1": "h2", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h6", "h6": "h6"}
LANGUAGE = re.compile(r"language-[\w+#.-]{1,40}", re.ASCII)
IMAGE_ADDRESS = re.compile(r"https?://", re.IGNORECASE)

ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "code": {"class"},
    "ol": {"start"},
    "td": {"align"},
    "th": {"align"},
}
BLOCKS = {*HEADINGS.values(), "blockquote", "li", "ol", "p", "td", "th", "ul"}
TAGS = {
    *ATTRIBUTES,
    *BLOCKS,
    *("br", "del", "em", "hr", "pre", "s", "strong", "table", "tbody", "thead", "tr"),
}


class TooComplex(Exception):
    """The text would take too long, or make a page that is too large."""


def render(text: str) -> SafeString:
    """The HTML of a text in Markdown: CommonMark, with tables and strikethrough.

    Its headings start at h2, because the title of the article is the h1. A text that is too
    complex is shown as plain text. 200,000 characters take 0.2 s, and the worst known 0.6 s.
    """
    try:
        html = _converted(text)
    except TooComplex:
        html = linebreaks(text, autoescape=True)
    return mark_safe(_cleaner.clean(html))  # noqa: S308 -- nh3 has cleaned it


def _converted(text: str) -> str:
    env = {"steps": 0}
    tokens = _markdown.parse(text, env)
    room = LONGEST_ATTRIBUTES
    for token in _all(tokens):
        if token.attrs:
            room -= sum(len(str(value)) for value in token.attrs.values())
            if room < 0:
                raise TooComplex
        if token.type in ("heading_open", "heading_close"):
            token.tag = HEADINGS[token.tag]
        elif token.type == "image" and not IMAGE_ADDRESS.match(str(token.attrs["src"])):
            # Not an address of this site: the browser would request it with the reader's cookies.
            token.type, token.content = "text", _description(token, env)
        elif token.type in ("th_open", "td_open") and (style := token.attrs.pop("style", None)):
            token.attrs["align"] = str(style).removeprefix("text-align:")
    return str(_markdown.renderer.render(tokens, _markdown.options, env))


def _description(image: Token, env: dict[str, int]) -> str:
    renderer = cast(RendererHTML, _markdown.renderer)
    return renderer.renderInlineAsText(image.children, _markdown.options, env)


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        if token.children:
            yield from _all(token.children)


def _count_step(state: StateBlock | StateInline, *_: object) -> bool:
    """A rule that comes before all others and never matches."""
    state.env["steps"] += 1
    if state.env["steps"] > MOST_STEPS:
        raise TooComplex
    return False


def _limit_blocks(state: StateBlock, *_: object) -> bool:
    # markdown-it would drop the text at its own limit of the depth.
    if state.level >= DEEPEST:
        raise TooComplex
    _limit_tokens(state)
    return _count_step(state)


def _limit_tokens(state: StateBlock | StateCore) -> None:
    if len(state.tokens) > MOST_TOKENS:
        raise TooComplex


def _kept(tag: str, attribute: str, value: str) -> str | None:
    """The value of an attribute, or None to remove it."""
    if attribute == "class" and not LANGUAGE.fullmatch(value):
        return None
    if attribute == "src" and not IMAGE_ADDRESS.match(value):
        return None
    return value


# Without "linkify", which makes links from plain addresses: it needs another package.
_markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST + 2})
_markdown.enable(["table", "strikethrough"])
_markdown.block.ruler.before(
    "table",
    "limit",
    _limit_blocks,
    {"alt": ["paragraph", "reference", "blockquote", "list"]},
)
_markdown.inline.ruler.before("text", "limit", _count_step)
_markdown.core.ruler.after("block", "limit", _limit_tokens)

_cleaner = Cleaner(
    tags=TAGS,
    attributes=ATTRIBUTES,
    attribute_filter=_kept,
    url_schemes={"http", "https", "mailto"},
    link_rel="nofollow ugc noopener",
    set_tag_attribute_values={
        "img": {"loading": "lazy", "referrerpolicy": "no-referrer"},
        # The direction of each text is that of its first letter, such as right to left for Arabic.
        **{tag: {"dir": "auto"} for tag in BLOCKS},
        # The style scrolls what is too wide. Safari scrolls with the keyboard only what has focus.
        "pre": {"tabindex": "0"},
        "table": {"tabindex": "0", "dir": "auto"},
    },
)
