"""HTML that takes long to make is kept, up to a number of bytes."""

from threading import Barrier, Thread

from django.test import override_settings
from django.utils.safestring import SafeString

from articles.models import Article
from tests.builders import like
from tests.website.reader import Reader
from users.models import User
from website.kept_html import KeptHtml


class Maker:
    def __init__(self, most_bytes: int) -> None:
        self.kept = KeptHtml(most_bytes)
        self.made: list[str] = []
        """The values that HTML was made from, in this order."""

    def of(self, text: str) -> SafeString:
        def make() -> SafeString:
            self.made.append(text)
            return SafeString(f"<p>{text}</p>")

        return self.kept.of(text, make)


def test_html_is_made_once() -> None:
    html = Maker(10_000)

    assert html.of("a") == html.of("a") == "<p>a</p>"
    assert html.of("b") == "<p>b</p>"
    assert html.of("\ud800") == "<p>\ud800</p>"

    assert html.made == ["a", "b", "\ud800"]


def test_the_html_that_was_not_used_for_the_longest_time_is_removed() -> None:
    html = Maker(5_000)
    first, *others = ("a" * 1_000, "b" * 1_000, "c" * 1_000, "d" * 1_000, "e" * 1_000)

    for text in (first, *others[:3], first, others[3], first, others[0]):
        html.of(text)

    assert html.made == [first, *others, others[0]]
    assert 4_000 < html.kept.bytes <= 5_000


def test_long_html_does_not_remove_the_others() -> None:
    html = Maker(5_000)
    long = "é" * 2_000

    for text in ("a", long, "a", long):
        html.of(text)

    assert html.made == ["a", long, long]


def test_threads_share_it() -> None:
    html = Maker(5_000)
    barrier = Barrier(4)

    def read() -> None:
        barrier.wait()
        for number in range(200):
            text = f"{number % 7}" * 300
            assert html.of(text) == f"<p>{text}</p>"

    threads = [Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    html.of("last")
    assert 0 < html.kept.bytes <= 5_000


def test_a_list_for_strangers_is_made_again_when_it_has_changed(
    stranger: Reader, article: Article, bob: User
) -> None:
    def answer(path: str = "/", **headers: str) -> tuple[bytes, bool]:
        """The page, and whether it was made for this request."""
        response = stranger.get(path, headers=headers)
        return response.content, bool(response.templates)

    first, _ = answer()
    assert answer() == (first, False)
    elsewhere, made = answer("/?feed=other")
    assert made
    assert elsewhere != first
    assert b"//localhost/" in answer(host="localhost")[0]

    like(bob, article)
    liked, made = answer()
    assert made
    assert liked != first
    with override_settings(DEBUG=True):
        assert answer() == (liked, True)


def test_a_list_for_a_person_is_not_kept(bob: User, article: Article) -> None:
    reader = Reader().as_user(bob)

    pages = [reader.get("/") for _ in range(2)]

    assert all(page.templates for page in pages)
    assert b"bob" in pages[1].content
