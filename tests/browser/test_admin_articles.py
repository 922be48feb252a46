"""Articles in the admin, in a browser: tags typed in place, and the preview."""

import pytest
from playwright.sync_api import expect

from articles.models import Article
from tests.browser.conftest import Open
from tests.builders import write_article
from users.models import User

pytestmark = pytest.mark.browser

ATTACKS = """
<img src=x onerror="document.body.dataset.attacked = 1">
<script>document.body.dataset.attacked = 1</script>
<svg onload="document.body.dataset.attacked = 1"></svg>
[a link](javascript:document.body.dataset.attacked=1)
"""


def test_tags_are_typed_in_place(open_page: Open, editor: User, alice: User, width: int) -> None:
    article = write_article(alice, tags=("dragons", "training"))
    page = open_page(f"/admin/articles/article/{article.pk}/change/", user=editor, width=width)
    field = page.get_by_label("Tags", exact=True).and_(page.locator("input"))

    field.fill("fire, and smoke")
    field.press("Enter")
    page.get_by_role("button", name="Remove training").click()
    field.fill("not yet confirmed")
    expect(page.get_by_role("button", name="Remove fire, and smoke")).to_be_visible()
    page.get_by_role("button", name="Save and continue editing").click()

    expect(page.get_by_text("was changed successfully")).to_be_visible()
    article.refresh_from_db()
    assert article.tag_names == ["dragons", "fire, and smoke", "not yet confirmed"]


def test_the_preview_follows_the_text_and_runs_no_script(
    open_page: Open, editor: User, alice: User
) -> None:
    article = write_article(alice, body=f"A *stored* text.\n{ATTACKS}")
    page = open_page(f"/admin/articles/article/{article.pk}/change/", user=editor)
    preview = page.get_by_role("region", name="Preview")
    expect(preview.locator("em")).to_have_text("stored")

    page.locator("textarea[name=body]").fill(f"# A title\n\nA *new* text.\n{ATTACKS}")

    expect(preview.locator("h2")).to_have_text("A title")
    expect(preview.locator("em")).to_have_text("new")
    expect(preview.locator("script, svg, [onerror], [href^=javascript]")).to_have_count(0)
    assert page.locator("body").get_attribute("data-attacked") is None
    assert Article.objects.get().body.startswith("A *stored* text.")
