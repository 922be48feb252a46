import pytest

from articles.models import Article, Comment
from tests.builders import write_comment
from tests.website.conftest import ReaderFor
from tests.website.reader import Reader
from users.models import User
from website.views.articles import COMMENTS_PER_PAGE

POST = ".comment-form button[type=submit]"
DELETE = ".card:not(.comment-form) button"
HTMX = {"HX-Request": "true"}


def path(article: Article) -> str:
    return f"/article/{article.slug}"


def test_a_reader_writes_a_comment(reader_for: ReaderFor, article: Article, bob: User) -> None:
    write_comment(article.author, article, body="Before")
    reader = reader_for(bob)

    page = reader.submit(reader.open(path(article)), POST, body="  One\r\n<b>two</b>")

    assert page.path == path(article)
    assert [text.text() for text in page.all(".card-text")] == ["  One\n<b>two</b>", "Before"]
    assert page.texts(".card .card-footer .comment-author") == ["bob", "alice"]
    assert len(page.all(".card:not(.comment-form) img.comment-author-img")) == 2
    assert page.one("textarea").text() == ""
    assert Comment.objects.get(author=bob).body == "  One\n<b>two</b>"


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_an_empty_comment_is_an_error_and_its_text_is_kept(
    reader_for: ReaderFor, article: Article, bob: User, headers: dict[str, str]
) -> None:
    reader = reader_for(bob)
    form = reader.open(path(article))
    reader.defaults |= {f"HTTP_{name.upper().replace('-', '_')}": "true" for name in headers}

    page = reader.submit(form, POST, status=422, body=" \r\n\u200b")

    assert page.texts("ul.error-messages li") == ["body can't be blank"]
    assert page.one("textarea").text() == " \n\u200b"
    assert not Comment.objects.exists()


def test_htmx_gets_the_empty_form_and_the_comment(
    reader_for: ReaderFor, article: Article, bob: User
) -> None:
    reader = reader_for(bob)
    form = reader.open(path(article))
    reader.defaults["HTTP_HX_REQUEST"] = "true"

    page = reader.submit(form, POST, body="One")

    assert page.all("nav") == []
    assert page.one(".comment-form textarea").text() == ""
    assert page.one("[hx-swap-oob='afterbegin:#comment-list'] .card-text").text() == "One"
    assert page.one("#comments-status").text() == "Your comment was posted."


@pytest.mark.parametrize("htmx", [False, True])
def test_the_author_deletes_a_comment(
    reader_for: ReaderFor, article: Article, bob: User, htmx: bool
) -> None:
    write_comment(bob, article)
    kept = write_comment(article.author, article)
    reader = reader_for(bob)
    page = reader.open(path(article))
    assert len(page.all("span.mod-options i.ion-trash-a")) == 1
    if htmx:
        reader.defaults["HTTP_HX_REQUEST"] = "true"

    page = reader.submit(page, DELETE)

    assert [*Comment.objects.all()] == [kept]
    if htmx:
        assert page.html.count("<") == 2  # only the status
    else:
        assert page.path == path(article)


@pytest.mark.parametrize("htmx", [False, True])
def test_a_comment_that_is_deleted_already(
    reader_for: ReaderFor, article: Article, bob: User, htmx: bool
) -> None:
    comment = write_comment(bob, article)
    reader = reader_for(bob)
    page = reader.open(path(article))
    comment.delete()
    if htmx:
        reader.defaults["HTTP_HX_REQUEST"] = "true"

    page = reader.submit(page, DELETE)

    assert page.all(".card:not(.comment-form)") == []


def test_charlie_cannot_delete_a_comment(
    reader_for: ReaderFor, article: Article, bob: User, charlie: User
) -> None:
    comment = write_comment(bob, article)
    reader = reader_for(charlie)
    page = reader.open(path(article))
    assert page.all(DELETE) == []
    token = page.all("[name=csrfmiddlewaretoken]")[0].attributes["value"]

    response = reader.post(
        f"{path(article)}/comments/{comment.pk}/delete", {"csrfmiddlewaretoken": token}
    )

    assert response.status_code == 403
    assert Comment.objects.exists()


def test_a_stranger_is_asked_to_log_in(stranger: Reader, article: Article, bob: User) -> None:
    write_comment(bob, article)

    page = stranger.open(path(article))

    links = [link.attributes["href"] for link in page.all(".comments p a")]
    assert links == [f"/login?next={path(article)}", f"/register?next={path(article)}"]
    assert page.all("button") == []


def test_comments_have_pages(reader_for: ReaderFor, article: Article, bob: User) -> None:
    for number in range(COMMENTS_PER_PAGE + 1):
        write_comment(article.author, article, body=f"Comment {number}")
    reader = reader_for(bob)

    first = reader.open(path(article))
    second = reader.open(f"{path(article)}?page=2")

    assert first.texts(".card-text") == [
        f"Comment {COMMENTS_PER_PAGE - n}" for n in range(COMMENTS_PER_PAGE)
    ]
    assert first.one("a[rel=next]").attributes["href"] == "?page=2#comments"
    assert first.all("a[rel=prev]") == []
    assert second.texts(".card-text") == ["Comment 0"]
    assert second.one("a[rel=prev]").attributes["href"] == "?page=1#comments"
    assert second.all("a[rel=next]") == []


def test_the_address_of_a_refused_comment_can_be_opened(
    reader_for: ReaderFor, article: Article, bob: User
) -> None:
    assert reader_for(bob).open(f"{path(article)}/comments").path == path(article)


def test_a_comment_on_an_article_that_got_another_title_meanwhile(
    reader_for: ReaderFor, article: Article, bob: User
) -> None:
    reader = reader_for(bob)
    page = reader.open(path(article))
    article.title = "Another title"
    article.save()

    page = reader.submit(page, POST, body="One")

    assert page.path == "/article/another-title"
    assert page.texts(".card-text") == ["One"]


def test_a_comment_on_a_deleted_article(reader_for: ReaderFor, article: Article, bob: User) -> None:
    reader = reader_for(bob)
    page = reader.open(path(article))
    article.delete()

    page = reader.submit(page, POST, status=404, body="One")

    assert page.texts("h1") == ["This article does not exist"]


def test_too_many_comments_keep_the_text(
    reader_for: ReaderFor, article: Article, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("users.limits.throttles.RateThrottle.get_rate", lambda self: "1/minute")
    reader = reader_for(bob)
    page = reader.open(path(article))
    reader.submit(page, POST, body="One")

    page = reader.submit(page, POST, status=429, body="Two")

    wait = page.response["Retry-After"]
    assert page.texts("ul.error-messages li") == [
        f"There were too many requests in a short time. Try again in {wait} s."
    ]
    assert page.one("textarea").text() == "Two"
