"""Markdown becomes HTML that can do no harm, in bounded time."""

import re
import time
from html.parser import HTMLParser
from itertools import product

import pytest
from django.utils.safestring import SafeString

from articles import markdown
from articles.markdown import ATTRIBUTES, BLOCKS, TAGS, render

ADDED = {
    "a": {"rel"},
    "img": {"loading", "referrerpolicy"},
    "pre": {"tabindex"},
    "table": {"tabindex", "dir"},
    **{tag: {"dir"} for tag in BLOCKS},
}
VOID = {"br", "hr", "img"}

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href='javascript:alert(1)'>a</a>",
    "<style>* { display: none }</style>",
    "<p style='position: fixed'>a</p>",
    "<base href='//evil.example'>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action='//evil.example'><input name=password></form>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php <script>alert(1)</script> ?>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](javascript&colon;alert(1))",
    "[a](java&Tab;script:alert(1))",
    "[a](<java\\\nscript:alert(1)>)",
    "[a](\x01javascript:alert(1))",
    "[a](vbscript:msgbox(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](data:image/png;base64,AA)",
    "[a](file:///etc/passwd)",
    "[a](blob:https://a.example/1)",
    "[a][b]\n\n[b]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<https://a.example/\"onmouseover='alert(1)'>",
    "[a](https://a.example 'x\" onmouseover=\"alert(1)')",
    '[a](https://a.example"onmouseover="alert(1))',
    '![a](https://a.example/x"onerror="alert(1))',
    '![x" onerror="alert(1)](https://a.example/x)',
    "![a](javascript:alert(1))",
    "![a](data:image/svg+xml,<svg/onload=alert(1)>)",
    "![<script>alert(1)</script>](https://a.example/x)",
    '```"onmouseover="alert(1)\na\n```',
    "```x class=y style=z\na\n```",
    "``` hidden\na\n```",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    "|<script>alert(1)</script>|\n|-|\n|<img src=x onerror=alert(1)>|",
    "# <script>alert(1)</script>",
    "> <script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\\<script>alert(1)\\</script>",
    "<div id=cookie name=forms>a</div>",
    "a\u2028<script>alert(1)</script>\ufeff",
]

type Element = tuple[str, dict[str, str]]


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Element] = []
        self.open: list[str] = []
        self.other: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)

    def unknown_decl(self, data: str) -> None:
        self.other.append(data)


def safe_elements(text: str) -> list[Element]:
    """The elements of the rendered text. Asserts that nothing else is in it."""
    parsed = Elements(render(text))
    assert (parsed.open, parsed.other) == ([], [])
    for tag, attributes in parsed.found:
        assert tag in TAGS
        assert {*attributes} <= ATTRIBUTES.get(tag, set()) | ADDED.get(tag, set())
        if tag == "a":
            assert attributes["rel"] == "nofollow ugc noopener"
            assert scheme(attributes.get("href", "")) in ("", "http", "https", "mailto")
        if tag == "img":
            assert scheme(attributes["src"]) in ("http", "https")
            assert (attributes["loading"], attributes["referrerpolicy"]) == ("lazy", "no-referrer")
        assert attributes.get("class", "language-").startswith("language-")
    return parsed.found


def scheme(address: str) -> str:
    """The scheme of an address as browsers read it: without spaces and control characters. "": it
    is relative."""
    letters = "".join(letter for letter in address if letter > " ")
    match = re.match(r"([a-z][a-z0-9+.-]*):", letters, re.IGNORECASE)
    return match[1].lower() if match else ""


def test_it_renders_markdown() -> None:
    text = "*a* **b** ~~c~~ `d`\n\n> e\n\n1. f\n\n- g\n\n---\n\n|h|\n|-:|\n|i|\n\n```python\nj\n```"

    tags = [tag for tag, _ in safe_elements(text)]

    assert tags[:6] == ["p", "em", "strong", "s", "code", "blockquote"]
    assert {"ol", "ul", "li", "hr", "table", "thead", "tbody", "tr", "th", "td", "pre"} <= {*tags}
    assert ("th", {"align": "right", "dir": "auto"}) in safe_elements(text)
    assert ("code", {"class": "language-python"}) in safe_elements(text)
    assert isinstance(render(text), SafeString)


@pytest.mark.parametrize("level", range(1, 7))
def test_headings_start_at_h2(level: int) -> None:
    tag = f"h{min(level + 1, 6)}"
    assert render(f"{'#' * level} A") == f'<{tag} dir="auto">A</{tag}>\n'


def test_html_is_shown_as_text() -> None:
    assert render("<b>bold</b>") == '<p dir="auto">&lt;b&gt;bold&lt;/b&gt;</p>\n'


@pytest.mark.parametrize("address", ["https://a.example/b", "/article/a", "#part", "mailto:a@b.c"])
def test_a_link_keeps_its_address(address: str) -> None:
    assert ("a", {"href": address, "rel": "nofollow ugc noopener"}) in safe_elements(
        f"[text]({address})"
    )


def test_an_image_of_another_site_is_loaded_late_and_without_a_referrer() -> None:
    _, (tag, attributes) = safe_elements("![A cat](https://a.example/cat.png)")

    assert (tag, attributes["src"], attributes["alt"]) == (
        "img",
        "https://a.example/cat.png",
        "A cat",
    )


@pytest.mark.parametrize(
    "address", ["/admin/logout/", "cat.png", "//a.example/cat.png", "data:image/png;base64,AA"]
)
def test_an_image_without_http_is_its_description(address: str) -> None:
    assert render(f"![A *cat*]({address})") == '<p dir="auto">A cat</p>\n'


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_becomes_harmless_elements(payload: str) -> None:
    safe_elements(payload)
    safe_elements(f"- > **a {payload}** b")
    safe_elements(payload * 2)


def test_every_combination_of_special_characters_gives_only_allowed_elements() -> None:
    parts = ["<a ", "[", "](", ")", '"', "'", "`", "\n", "javascript:", "onload=", ">", "&"]

    for combination in product(parts, repeat=3):
        safe_elements("a" + "".join(combination) + "x](http://a)")


def test_text_that_is_too_complex_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MOST_STEPS", 3)

    assert render("*a* <b>\n\nb\nc") == (
        '<p dir="auto">*a* &lt;b&gt;</p>\n\n<p dir="auto">b<br>c</p>'
    )


def test_no_text_is_lost_in_deep_quotes() -> None:
    assert "deep" in render(">" * 100 + " deep")
    assert "deep" in render("- " * 100 + "deep")


def test_a_link_that_is_used_often_does_not_make_a_large_page() -> None:
    text = f"[a]: https://a.example/{'x' * 100_000}\n\n{'[a] ' * 25_000}"

    assert len(render(text)) < 1_000_000


@pytest.mark.parametrize("unit", ["![", "> - a\n"])
def test_200_000_characters_take_about_as_long_as_ordinary_text(unit: str) -> None:
    def seconds(unit: str) -> float:
        text = (unit * 200_000)[:200_000]
        started = time.process_time()
        assert render(text)
        return time.process_time() - started

    # Both take 0.2 to 0.5 s on the machine of docs/speed.md.
    assert seconds(unit) < 3 * seconds("*word* [a](http://b) ")
