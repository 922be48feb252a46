"""Texts of attackers in a real browser: nothing runs, and the policy has nothing to stop."""

from urllib.parse import quote

import pytest
from playwright.sync_api import Dialog, Page

from tests.browser.conftest import Open
from tests.builders import like, make_user, write_article, write_comment
from tests.website.payloads import BAD_IMAGES, PAYLOADS

# Without pictures of other sites, which `open_page` refuses to load.
TEXTS = [payload for payload in PAYLOADS if "](https:" not in payload]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_no_payload_opens_a_dialog_or_breaks_the_policy(open_page: Open) -> None:
    mallory = make_user(
        "mallory", bio="\n".join(TEXTS), image="data:image/svg+xml,<svg onload='alert(1)'/>"
    )
    # Each in a paragraph of its own.
    body = "\n\n".join(TEXTS)
    for payload in TEXTS:
        article = write_article(mallory, title=payload, description=payload, tags=(payload[:64],))
        like(mallory, article)
    write_article(mallory, title="Long", description=body[:1000], body=body)
    for number, image in enumerate(BAD_IMAGES):
        user = make_user(f"user{number}", image=image)
        write_comment(user, article, body=body)

    page = open_page("/", user=mallory, expected=(404, 422))
    # `open_page` fails if the browser logs that the policy stopped something.
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    worst = quote(TEXTS[18], safe="")
    for path in (
        *("/?page=2", "/?page=3", "/article/long", f"/article/{article.slug}", f"/tag/{worst}"),
        *("/profile/mallory", "/profile/mallory/favorites", "/settings", "/editor/long"),
        *(f"/search?q={worst}", f"/{worst}", f"/article/{worst}"),
    ):
        page.goto(path)
        poke(page)
    page.goto(f"/editor/{article.slug}")
    page.fill("textarea[name=body]", " ")
    page.locator("main button[type=submit]").first.click()
    page.wait_for_selector(".error-messages li")
    poke(page)

    assert dialogs == []


def poke(page: Page) -> None:
    """Moves the pointer and the focus over the page: payloads wait for these events."""
    page.mouse.move(300, 300)
    page.keyboard.press("Tab")
    assert (
        page.evaluate(
            "document.querySelectorAll('[onload], [onerror], [style], base, iframe').length"
        )
        == 0
    )
