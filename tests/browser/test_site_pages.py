"""Every page of the site in a browser: it fits the window, and axe has no finding."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Open, fits
from tests.builders import follow, like, make_user, write_article, write_comment
from users.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Widths in CSS pixels with the colors in which a page is shown. axe reads it in the first two.
WINDOWS = [(390, "light"), (1280, "dark"), (768, "light"), (320, "dark"), (1600, "light")]
CHECKED = 2

LONG_WORD = "Donaudampfschifffahrtsgesellschaft" * 6
BOB = "b" * 64
ARABIC = "كيف تدرب تنينك في عشرة أيام"
BODY = f"""
It takes *time*, [a link](https://example.com) and `code`.

# A heading {LONG_WORD}

> A quote

| a | table |{" column |" * 30}
|---|---|{"---|" * 30}
| 1 | 2 |{" 3 |" * 30}

    {"code " * 60}

{ARABIC}

1. one
2. {LONG_WORD}
"""
STRANGER = ["/", "/?page=2", "/tag/dragons", "/search?q=dragon", "/search?q=zebra", "/login"]
STRANGER += [
    "/register",
    "/password-reset",
    "/password-reset/sent",
    "/article/a-dragon",
    "/profile/alice",
]
STRANGER += ["/profile/alice/favorites", "/no-such-page"]
READER = ["/", "/?feed=following", "/tag/dragons", "/article/a-dragon", "/editor/a-dragon"]
READER += ["/editor", "/settings", "/settings/delete", "/profile/alice", f"/profile/{BOB}"]
READER += [f"/profile/{BOB}/favorites", "/tag/nobody-has-this-tag"]


@pytest.fixture
def alice(live_server: object) -> User:
    """Writes with long words and in Arabic. Bob comments, Charlie does nothing."""
    alice = make_user("alice", bio=f"I train {LONG_WORD}", image="data:image/gif;base64,R0lGODlh")
    bob = make_user(BOB, bio=ARABIC)
    follow(alice, bob)
    for number in range(10):
        write_article(bob, title=f"{ARABIC} {number}", tags=("dragons", ARABIC))
    write_article(bob, title=LONG_WORD[:200], description=LONG_WORD, tags=(LONG_WORD[:64],))
    article = write_article(alice, title="A dragon", body=BODY, tags=("dragons", "x" * 64))
    like(alice, write_article(bob, title="Another dragon"))
    write_comment(bob, article, body=LONG_WORD)
    write_comment(alice, article, body=f"{ARABIC}\n\nMine")
    return alice


@pytest.mark.parametrize("paths", [STRANGER, READER], ids=["stranger", "reader"])
def test_every_page_fits_and_is_accessible(
    open_page: Open, accessible: Callable[[Page], None], alice: User, paths: list[str]
) -> None:
    user = alice if paths is READER else None
    page = open_page(paths[0], user=user, expected=(404,))

    for path in paths:
        page.goto(path)
        for number, (width, scheme) in enumerate(WINDOWS):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal type
            assert fits(page), (path, width)
            if number < CHECKED:
                accessible(page)
