"""Texts that would run a script or change the page if the site showed them as they are, and what a
page must be like in spite of them."""

import re
from collections.abc import Iterator
from itertools import batched

from selectolax.lexbor import LexborHTMLParser, LexborNode

PAYLOADS = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<!--><script>alert(1)</script>-->",
    "--><svg onload=alert(1)>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "]]><script xmlns='http://www.w3.org/1999/xhtml'>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<details open ontoggle=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<form action=//evil.example><button>send</button>",
    "<base href=//evil.example/><meta http-equiv=refresh content=0;url=//evil.example>",
    "<style>*{display:none}</style><link rel=stylesheet href=//evil.example>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    '" autofocus onfocus=alert(1) x="',
    "' autofocus onfocus=alert(1) x='",
    '"><script>alert(1)</script>',
    "` onmouseover=alert(1) style=position:fixed `",
    "{{ request.user.password }}{% csrf_token %}<b hx-get=/logout hx-trigger=load>",
    "&lt;script&gt;alert(1)&lt;/script&gt;&#60;script&#62;",
    "\u2028<script>alert(1)</script>\ufeff\u202e",
    "javascript:alert(1)//",
    "[a](javascript:alert(1)) ![a](data:text/html,x) <javascript:alert(1)>",
    '[a](https://a.example"onmouseover="alert(1)) ![x" onerror="alert(1)](https://a.example/x)',
    "${alert(1)}\\u003cscript\\u003ealert(1)//\\x3c/script\\x3e",
]

# The payloads in texts that fit into a title. Fewer pages are needed to show them all.
TITLES = [" ".join(part) for part in batched(PAYLOADS, 3, strict=False)]
assert max(map(len, TITLES)) <= 255

# Addresses for a picture: all of them show the default avatar.
BAD_IMAGES = [
    "javascript:alert(1)",
    " javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "vbscript:msgbox(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:,image/png",
    "data: image/png;base64,AA",
    "data:application/xhtml+xml,<x/>",
    "blob:https://a.example/1",
    "file:///etc/passwd",
    "//a.example/x.png",
    "/logout",
    "\nhttps://a.example/x.png",
    "https:a.example",
    "x",
    " ",
]
GOOD_IMAGES = [
    "https://a.example/x.png?a=b&c=d#e",
    "HTTP://a.example/x.png",
    "data:image/png;base64,AA==",
    "DATA:image/svg+xml,<svg onload='alert(1)'/>",
    'https://a.example/"onerror="alert(1)',
    "https://a.example/'><script>alert(1)</script>",
]

# The part of a page in which rendered Markdown stands.
MARKDOWN = ".article-content"

# Attributes with an address.
ADDRESSES = {
    "href",
    "src",
    "srcset",
    "action",
    "formaction",
    "poster",
    "xlink:href",
    "hx-get",
    "hx-post",
}
# In rendered Markdown only.
MARKDOWN_LINK = "nofollow ugc noopener"


def scheme(address: str) -> str:
    """The scheme of an address as browsers read it: without spaces and control characters. "": it
    is relative."""
    letters = "".join(letter for letter in address if letter > " ")
    match = re.match(r"([a-z][a-z0-9+.-]*):", letters, re.IGNORECASE)
    return match[1].lower() if match else ""


def assert_harmless(html: str, where: str = "", *, style_with_nonce: bool = False) -> None:
    """Nothing in the page runs, except files of this site, and nothing leads to a script. The
    pages for errors may have a `style_with_nonce`."""
    tree = LexborHTMLParser(html)
    if style_with_nonce:
        for node in tree.css("style[nonce]"):
            node.decompose()
    for node in elements(tree):
        attributes = {name.lower(): value or "" for name, value in node.attributes.items()}
        shown = f"{where}: <{node.tag} {attributes}>"
        assert node.tag not in ("iframe", "object", "embed", "base", "style", "math"), shown
        if node.tag == "script":
            assert attributes["src"].startswith("/static/"), shown
            assert not node.text(), shown
        if node.tag == "link" and attributes.get("rel") == "stylesheet":
            assert attributes["href"].startswith("/static/"), shown
        if node.tag == "meta":
            assert "http-equiv" not in attributes, shown
        if node.tag == "form":
            assert re.match(r"/(?![/\\])|$", attributes.get("action", "")), shown
        for name, value in attributes.items():
            assert not re.match("on|style$|srcdoc$|hx-on|data-hx-", name), shown
            if name in ADDRESSES:
                assert_harmless_address(node.tag or "", name, value, shown)
    for link in tree.css(f"{MARKDOWN} a"):
        assert link.attributes["rel"] == MARKDOWN_LINK, where


def assert_harmless_address(tag: str, name: str, value: str, shown: str) -> None:
    allowed = {"", "http", "https"}
    if (tag, name) == ("img", "src"):
        assert scheme(value) or value.startswith("/"), shown
        if scheme(value) == "data":
            assert value.lower().startswith("data:image/"), shown
            return
    elif (tag, name) == ("a", "href"):
        allowed.add("mailto")
    assert scheme(value) in allowed, shown


def elements(tree: LexborHTMLParser) -> Iterator[LexborNode]:
    assert tree.root is not None
    return (node for node in tree.root.traverse(include_text=False) if node.tag != "-comment")


def shape(html: str) -> list[tuple[str, ...]]:
    """The elements of a page with the names of their attributes, without rendered Markdown and
    without the icons. Texts of users must not change it."""
    tree = LexborHTMLParser(html)
    for node in tree.css(MARKDOWN):
        for child in [*node.iter()]:
            child.decompose()
    return [(node.tag or "", *sorted(node.attributes)) for node in elements(tree)]
