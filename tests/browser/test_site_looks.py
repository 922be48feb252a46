"""The look of the site with texts that are hard to lay out, in every width, in light and dark."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from articles.models import Article
from tests.browser.conftest import Open, fits
from tests.builders import make_user, write_article, write_comment
from users.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = (320, 390, 768, 1280, 1600)
LONG_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamter" * 3
ARABIC = "دليل إلى قواعد البيانات والفهارس"
# A data URL, because a test may not call another host.
BROKEN_IMAGE = "data:image/png;base64,AAAA"
BODY = f"""
{LONG_WORD} `{LONG_WORD}`

{ARABIC}

## {LONG_WORD}

```python
{"a_name = another_name(" * 20}
```

| {" | ".join(f"Column {number}" for number in range(20))} |
|{"---|" * 20}
| {" | ".join(LONG_WORD[:30] for _ in range(20))} |

{"".join("> " * depth + "quote" + chr(10) for depth in range(1, 10))}

{"".join("  " * depth + "- item" + chr(10) for depth in range(9))}

---
"""


class Site(NamedTuple):
    author: User
    article: Article

    @property
    def paths(self) -> tuple[str, ...]:
        article, profile = f"/article/{self.article.slug}", f"/profile/{self.author.username}"
        return ("/", article, profile, f"/editor/{self.article.slug}", "/settings")


@pytest.fixture
def site(db: None) -> Site:
    """An article with everything that is too long, by an author with a long name."""
    author = make_user("w" * 64, image=BROKEN_IMAGE, bio=LONG_WORD)
    article = write_article(
        author,
        title=LONG_WORD,
        description=LONG_WORD,
        body=BODY,
        tags=(LONG_WORD[:60], ARABIC, *(f"tag {number}" for number in range(30))),
    )
    write_article(author, title=ARABIC, description=ARABIC, body=ARABIC)
    for body in (LONG_WORD * 40, ARABIC):
        write_comment(author, article, body=body)
    return Site(author, article)


def test_long_texts_fit(site: Site, open_page: Open) -> None:
    page = open_page("/", user=site.author)
    for path in site.paths:
        page.goto(path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert fits(page), (path, width)


def test_long_texts_are_accessible(
    site: Site, open_page: Open, accessible: Callable[[Page], None], scheme: str
) -> None:
    page = open_page("/", user=site.author, scheme=scheme, width=320)
    for path in site.paths:
        page.goto(path)
        accessible(page)


TOO_LARGE_AND_LIGHT = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    return [...document.querySelectorAll("*")].filter(element => {
        const box = element.getBoundingClientRect();
        if (box.width * box.height < 20_000) return false;
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = getComputedStyle(element).backgroundColor;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
        return alpha > 0 && red + green + blue > 384;
    }).map(element => element.outerHTML.slice(0, 80));
}"""


def test_nothing_large_is_light_in_the_dark(site: Site, open_page: Open) -> None:
    page = open_page("/", scheme="dark")
    assert page.evaluate(TOO_LARGE_AND_LIGHT) == []
    page = open_page("/", user=site.author, scheme="dark")
    for path in site.paths:
        page.goto(path)
        assert page.evaluate(TOO_LARGE_AND_LIGHT) == []


LAYOUT_SHIFT = """() => new Promise(resolve => {
    let sum = 0;
    new PerformanceObserver(list => {
        for (const entry of list.getEntries()) sum += entry.value;
    }).observe({type: "layout-shift", buffered: true});
    setTimeout(() => resolve(sum), 200);
})"""


def test_the_layout_does_not_shift_while_a_page_loads(site: Site, open_page: Open) -> None:
    page = open_page("/", user=site.author, width=390)
    for path in site.paths:
        page.goto(path)
        # "Good" is at most 0.1 (web.dev/articles/cls).
        assert page.evaluate(LAYOUT_SHIFT) < 0.01


def test_the_paper_has_the_article_alone_and_is_white(site: Site, open_page: Open) -> None:
    page = open_page(f"/article/{site.article.slug}", user=site.author, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")

    expect(page.locator(".article-content")).to_be_visible()
    for hidden in (".navbar", ".footer", ".skip-link", ".comment-form", "button"):
        for element in page.locator(hidden).all():
            expect(element).to_be_hidden()
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    # Code is broken into lines, because paper does not scroll.
    assert page.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('pre'))")


TEXT_SPACING = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important;
                           word-spacing: .16em !important; }
                       p { margin-block-end: 2em !important; }`);
    document.adoptedStyleSheets.push(sheet);
}"""
CUT = """() => [...document.querySelectorAll(".btn, .nav-link, .tag-pill, .page-link")]
    .filter(e => e.clientWidth && (e.scrollWidth > e.clientWidth + 1
                                   || e.scrollHeight > e.clientHeight + 1))
    .map(e => e.outerHTML.slice(0, 120))"""


def test_readers_may_space_and_enlarge_the_text(site: Site, open_page: Open) -> None:
    """WCAG 1.4.12 and 1.4.4."""
    page = open_page("/", user=site.author, width=320)
    for path in site.paths:
        page.set_viewport_size({"width": 320, "height": 900})
        page.goto(path)
        page.evaluate(TEXT_SPACING)
        assert (fits(page), page.evaluate(CUT)) == (True, []), path
        page.set_viewport_size({"width": 1280, "height": 900})
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert fits(page), path


def test_the_focus_is_visible_and_starts_with_the_skip_link(site: Site, open_page: Open) -> None:
    page = open_page(f"/article/{site.article.slug}", user=site.author)
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    expect(page.locator(".skip-link")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    focused = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """[document.activeElement.localName,
                getComputedStyle(document.activeElement).outlineStyle]"""
        )
        if name == "body":
            break
        focused.append(name)
        assert outline == "solid", name
    # What is too wide is scrolled with the keyboard.
    assert {"pre", "table", "textarea", "button", "a"} <= {*focused}


def test_readers_get_the_contrast_that_they_ask_for(open_page: Open) -> None:
    page = open_page("/")
    quiet = "getComputedStyle(document.querySelector('.footer')).color"
    text = "getComputedStyle(document.body).color"
    assert page.evaluate(quiet) != page.evaluate(text)

    page.emulate_media(contrast="more")

    assert page.evaluate(quiet) == page.evaluate(text)
