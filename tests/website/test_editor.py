from typing import Any

from articles.models import Article
from tests.builders import write_article
from tests.website.conftest import ReaderFor
from tests.website.reader import Page, Reader, values_of
from users.models import User

PUBLISH = "button[type=submit]"
TEXTS: dict[str, Any] = {
    "title": "A title",
    "description": "What it is about",
    "body": "One\r\n\r\ntwo",
}


def shown(page: Page) -> dict[str, Any]:
    values = values_of(page.one("main form"))
    return {name: value for name, value in values.items() if name != "csrfmiddlewaretoken"}


def test_a_writer_publishes_an_article(reader_for: ReaderFor, alice: User) -> None:
    reader = reader_for(alice)
    page = reader.open("/editor")
    assert page.texts(PUBLISH) == ["Publish Article"]

    page = reader.submit(page, PUBLISH, **TEXTS, newTags=" web dev,, python ,python")

    assert page.path == "/article/a-title"
    article = Article.objects.get()
    assert (article.author, article.body) == (alice, "One\n\ntwo")
    assert article.tag_names == ["python", "web dev"]


def test_errors_keep_what_was_typed(reader_for: ReaderFor, alice: User) -> None:
    reader = reader_for(alice)

    page = reader.submit(
        reader.open("/editor"),
        PUBLISH,
        status=422,
        title=" ",
        description="What",
        body="\r\n\r\n<b>",
        newTags="a, b",
    )

    assert page.path == "/editor"
    assert page.texts("ul.error-messages li") == ["title can't be blank"]
    assert page.one("[aria-invalid]").attributes["name"] == "title"
    assert shown(page) == {
        "title": " ",
        "description": "What",
        "body": "\n\n<b>",
        "newTags": "",
        "tagList": ["a", "b"],
    }
    assert not Article.objects.exists()


def test_too_many_tags_are_an_error(reader_for: ReaderFor, alice: User) -> None:
    reader = reader_for(alice)
    tags = ",".join(map(str, range(31)))

    page = reader.submit(reader.open("/editor"), PUBLISH, status=422, **TEXTS, newTags=tags)

    assert page.texts("ul.error-messages li") == ["tagList has too many tags (maximum is 30)"]


STRANGE: dict[str, Any] = {
    "title": 'A "title" & <more>',
    "description": "Two\nlines\r\n  and another",
    "body": "\n\n  First\r\nsecond\rthird\n</textarea>&amp;  \n\n",
    "tags": ("a, b", "c d", "<e>", '"f"'),
}


def test_an_article_that_is_not_edited_does_not_change(reader_for: ReaderFor, alice: User) -> None:
    article = write_article(alice, **STRANGE)
    before = Article.objects.values().get()
    reader = reader_for(alice)
    page = reader.open(f"/editor/{article.slug}")
    # As browsers send it.
    body = shown(page)["body"].replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")

    page = reader.submit(page, PUBLISH, body=body)

    assert page.path == f"/article/{article.slug}"
    assert Article.objects.values().get() == before


def test_only_changed_fields_are_written(reader_for: ReaderFor, alice: User) -> None:
    article = write_article(alice, **STRANGE)
    reader = reader_for(alice)
    page = reader.open(f"/editor/{article.slug}")
    # In another window.
    Article.objects.filter(pk=article.pk).update(body="Changed", description="Changed too")

    page = reader.submit(page, PUBLISH, title="A new title", newTags="g")

    assert page.path == "/article/a-new-title"
    article.refresh_from_db()
    assert (article.title, article.body) == ("A new title", "Changed")
    assert article.description == "Changed too"
    assert article.tag_names == ['"f"', "<e>", "a, b", "c d", "g"]


def test_a_box_removes_its_tag(reader_for: ReaderFor, alice: User) -> None:
    article = write_article(alice, tags=("a, b", "c", "d"))
    reader = reader_for(alice)
    page = reader.open(f"/editor/{article.slug}")

    reader.submit(page, PUBLISH, tagList=["a, b", "d"])
    article.refresh_from_db()
    assert article.tag_names == ["a, b", "d"]

    page = reader.open(f"/editor/{article.slug}")
    reader.submit(page, PUBLISH, tagList=[])
    article.refresh_from_db()
    assert article.tag_names == []


def test_the_fields_that_were_changed_are_still_known_after_an_error(
    reader_for: ReaderFor, alice: User
) -> None:
    article = write_article(alice, title="One")
    reader = reader_for(alice)
    page = reader.open(f"/editor/{article.slug}")
    page = reader.submit(page, PUBLISH, status=422, title="", description="Two")
    assert page.path == f"/editor/{article.slug}"
    Article.objects.filter(pk=article.pk).update(body="Changed")

    reader.submit(page, PUBLISH, title="Three")

    article.refresh_from_db()
    assert (article.title, article.description, article.body) == ("Three", "Two", "Changed")


def test_a_text_of_any_characters_and_of_the_maximum_length(
    reader_for: ReaderFor, alice: User
) -> None:
    reader = reader_for(alice)
    body = "😀" * 100_000 + "\r\n" * 50_000 + "é" * 50_000

    reader.submit(reader.open("/editor"), PUBLISH, **TEXTS | {"body": body})

    assert len(Article.objects.get().body) == 200_000


def test_charlie_cannot_edit_it(reader_for: ReaderFor, article: Article, charlie: User) -> None:
    reader = reader_for(charlie)
    token = reader.open("/editor").one("[name=csrfmiddlewaretoken]").attributes["value"]

    reader.open(f"/editor/{article.slug}", status=403)
    response = reader.post(f"/editor/{article.slug}", TEXTS | {"csrfmiddlewaretoken": token})

    assert response.status_code == 403
    assert Article.objects.get().title == article.title


def test_an_article_that_got_another_title_in_another_window(
    reader_for: ReaderFor, article: Article
) -> None:
    reader = reader_for(article.author)
    first, second = (reader.open(f"/editor/{article.slug}") for _ in range(2))
    reader.submit(first, PUBLISH, title="Another title")

    page = reader.submit(second, PUBLISH, body="Another text")

    assert page.path == "/article/another-title"
    assert page.texts(".article-content") == ["Another text"]


def test_an_article_that_was_deleted_meanwhile(reader_for: ReaderFor, article: Article) -> None:
    reader = reader_for(article.author)
    page = reader.open(f"/editor/{article.slug}")
    article.delete()

    page = reader.submit(page, PUBLISH, status=404, **TEXTS)

    assert page.texts("h1") == ["This article does not exist"]
    assert not Article.objects.exists()


def test_a_stranger_is_sent_to_the_login(stranger: Reader, article: Article) -> None:
    for path in ("/editor", f"/editor/{article.slug}", "/editor/no-such-article"):
        response = stranger.get(path)
        assert (response.status_code, response.headers["Location"]) == (302, "/login")
