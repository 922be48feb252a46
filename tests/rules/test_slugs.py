import re
from collections.abc import Callable
from itertools import pairwise

import pytest

from articles.models import Article
from tests.builders import write_article
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

URL_SAFE = re.compile(r"[A-Za-z0-9_-]{1,255}")

TITLES = [
    "How to train your dragon",
    "日本語のタイトル",
    "Как приручить дракона",
    "!!!",
    "?",
    "...",
    "---",
    "___",
    "-_-",
    "😀",
    "ab😀cd",
    "Ünïcödé",
    "ß",
    "100% sure / really?",
    "a/b\\c#d?e=f&g",
    "<script>",
    "a" * 255,
    "日" * 255,
    "a " * 127 + "b",
    "-" * 255,
    "㎒" * 255,  # NFKC makes three letters of each
    "ﷺ" * 255,  # NFKC makes eighteen letters of each
    "feed",
    "Feed",
    "FEED",
    "feed!",
    "-feed-",
    "\uff46\uff45\uff45\uff44",  # "feed" in fullwidth letters
    "comments",
    "favorite",
    "article",
    "0",
    "null",
    ".",
    "..",
]


@pytest.mark.parametrize("title", TITLES)
def test_every_title_has_a_slug_that_fits_a_url(api: Api, alice: User, title: str) -> None:
    first = write_article(alice, title=title)
    second = write_article(alice, title=title)

    for article in (first, second):
        assert URL_SAFE.fullmatch(article.slug)
        assert article.slug != "feed"
        shown = api().get(f"/api/articles/{article.slug}").json()["article"]
        assert (shown["slug"], shown["title"]) == (article.slug, title)
    assert first.slug != second.slug


@pytest.mark.parametrize("title", ["feed", "日本語", "!!!", "a" * 255])
def test_an_article_with_an_unusual_title_can_be_created_read_changed_and_deleted(
    api: Api, alice: User, title: str
) -> None:
    content = {"title": title, "description": "What it is about", "body": "A text"}

    slug = api(alice).post("/api/articles", {"article": content}).json()["article"]["slug"]

    path = f"/api/articles/{slug}"
    assert api().get(path).json()["article"]["title"] == title
    assert api(alice).put(path, {"article": {"body": "New"}}).status_code == 200
    assert api(alice).post(f"{path}/favorite").status_code == 200
    assert api().get(f"{path}/comments").status_code == 200
    assert api(alice).get("/api/articles/feed").json()["articles"] == []
    assert api(alice).delete(path).status_code == 204


def test_similar_titles_have_different_slugs(alice: User) -> None:
    titles = ["Hello", "hello", "HELLO", "Hello!", " Hello", "Héllo", "hello-", "¡Hello!", "Hello"]

    slugs = {write_article(alice, title=title).slug for title in titles}

    assert len(slugs) == len(titles)


def test_titles_that_differ_only_at_the_end_have_different_slugs(alice: User) -> None:
    slugs = {write_article(alice, title="a" * 254 + end).slug for end in "abc"}

    assert len(slugs) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Hello", "Goodbye"),
        ("Hello", "Hello!"),
        ("Hello!", "Hello"),
        ("Hello", "hello"),
        ("Hello World", "Hello  World"),
        ("日本語", "日本"),
        ("!!!", "???"),
        ("a" * 255, "a" * 254),
        ("Hello", "feed"),
        ("feed", "Hello"),
        ("feed", "Feed"),
    ],
)
def test_a_new_title_has_a_new_slug(api: Api, alice: User, old: str, new: str) -> None:
    article = write_article(alice, title=old)
    path = f"/api/articles/{article.slug}"

    shown = api(alice).put(path, {"article": {"title": new}}).json()["article"]

    assert shown["title"] == new
    assert shown["slug"] != article.slug
    assert shown["slug"] != "feed"
    assert URL_SAFE.fullmatch(shown["slug"])
    assert api().get(f"/api/articles/{shown['slug']}").json()["article"]["title"] == new
    assert api().get(path).headers["Location"] == f"/api/articles/{shown['slug']}"


@pytest.mark.parametrize("title", ["How to train your dragon", "日本語", "!!!", "feed", "a" * 255])
@pytest.mark.parametrize(
    "change",
    [
        {"description": "New"},
        {"body": "New"},
        {"tagList": ["new"]},
        {"description": "New", "body": "New", "tagList": []},
    ],
)
def test_the_slug_stays_when_the_title_does_not_change(
    api: Api, alice: User, title: str, change: dict[str, object]
) -> None:
    article = write_article(alice, title=title)
    path = f"/api/articles/{article.slug}"

    for content in (
        change,
        {"title": title},
        {"title": f"  {title}\n"},
        {"title": title, **change},
    ):
        response = api(alice).put(path, {"article": content})

        assert response.status_code == 200
        assert response.json()["article"]["slug"] == article.slug
        assert response.json()["article"]["title"] == title


def test_the_slug_stays_when_another_article_has_the_same_title(api: Api, alice: User) -> None:
    first, second = (write_article(alice, title="Hello") for _ in range(2))

    for article in (first, second):
        path = f"/api/articles/{article.slug}"
        shown = api(alice).put(path, {"article": {"title": "Hello", "body": "New"}}).json()
        assert shown["article"]["slug"] == article.slug


def test_a_title_of_another_article_gets_a_different_slug(api: Api, alice: User) -> None:
    taken = write_article(alice, title="Hello")
    article = write_article(alice, title="Goodbye")

    response = api(alice).put(f"/api/articles/{article.slug}", {"article": {"title": "Hello"}})

    assert response.status_code == 200
    assert response.json()["article"]["slug"] not in (taken.slug, article.slug)
    assert api().get(f"/api/articles/{taken.slug}").json()["article"]["title"] == "Hello"


def test_an_old_title_gets_a_slug_other_than_the_current_one(api: Api, alice: User) -> None:
    article = write_article(alice, title="Hello")
    slugs = [article.slug]

    for title in ("Hello!", "Hello", "Hello!"):
        shown = api(alice).put(f"/api/articles/{slugs[-1]}", {"article": {"title": title}}).json()
        slugs.append(shown["article"]["slug"])

    assert all(old != new for old, new in pairwise(slugs))


def test_the_model_changes_the_slug_without_the_api(alice: User) -> None:
    article = Article.objects.get(pk=write_article(alice, title="Hello").pk)
    old_slug = article.slug

    article.body = "New"
    article.save()
    assert Article.objects.get().slug == old_slug

    article.title = "Hello!"
    article.save()
    assert Article.objects.get().slug == article.slug != old_slug


def test_update_fields_with_the_title_saves_the_slug_too(alice: User) -> None:
    article = Article.objects.get(pk=write_article(alice, title="Hello").pk)
    old_slug = article.slug

    article.title, article.body = "Goodbye", "Not saved"
    article.save(update_fields=["title"])

    saved = Article.objects.get()
    assert saved.slug == article.slug != old_slug
    assert saved.title == "Goodbye"
    assert saved.body != "Not saved"


def test_update_fields_without_the_title_keeps_the_slug(alice: User) -> None:
    article = Article.objects.get(pk=write_article(alice, title="Hello").pk)
    old_slug = article.slug

    article.title, article.body = "Not saved", "New"
    article.save(update_fields=["body"])

    saved = Article.objects.get()
    assert (saved.slug, saved.title, saved.body) == (old_slug, "Hello", "New")


def test_saving_the_title_that_another_request_stored_keeps_the_slug(
    alice: User,
) -> None:
    write_article(alice, title="Hello")
    loaded, changed = Article.objects.get(), Article.objects.get()
    changed.title = "Goodbye"
    changed.save()

    loaded.title, loaded.body = "Goodbye", "New"
    loaded.save()
    assert Article.objects.get().slug == loaded.slug == changed.slug

    loaded.title = "Hello"  # the stored title and slug are different now
    loaded.save()
    assert Article.objects.get().slug == loaded.slug == "hello"


def test_saving_a_title_that_another_request_replaced_restores_its_slug(
    alice: User,
) -> None:
    write_article(alice, title="Hello")
    loaded, changed = Article.objects.get(), Article.objects.get()
    changed.title = "Goodbye"
    changed.save()

    loaded.save(update_fields=["title"])

    saved = Article.objects.get()
    assert (saved.title, saved.slug) == ("Hello", "hello")
