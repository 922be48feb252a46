"""The HTML of articles is kept up to a number of bytes."""

from threading import Barrier, Thread

import pytest

from articles import markdown
from articles.markdown import render
from articles.rendered_texts import RenderedTexts


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were rendered, in this order."""
    found: list[str] = []

    def counted(text: str) -> object:
        found.append(text)
        return render(text)

    monkeypatch.setattr(markdown, "render", counted)
    return found


def test_a_text_is_rendered_once(renderings: list[str]) -> None:
    texts = RenderedTexts(10_000)

    assert texts.of("*a*") == texts.of("*a*") == render("*a*")
    assert texts.of("*b*") == render("*b*")

    assert renderings == ["*a*", "*b*"]


def test_the_text_that_was_not_used_for_the_longest_time_is_removed(renderings: list[str]) -> None:
    texts = RenderedTexts(5_000)
    first, *others = ("a" * 1_000, "b" * 1_000, "c" * 1_000, "d" * 1_000, "e" * 1_000)

    for text in (first, *others[:3], first, others[3], first, others[0]):
        texts.of(text)

    assert renderings == [first, *others, others[0]]
    assert 4_000 < texts.bytes <= 5_000


def test_a_long_text_does_not_remove_the_others(renderings: list[str]) -> None:
    texts = RenderedTexts(5_000)
    long = "é" * 2_000

    for text in ("a", long, "a", long):
        texts.of(text)

    assert renderings == ["a", long, long]


def test_threads_share_it() -> None:
    texts = RenderedTexts(5_000)
    barrier = Barrier(4)

    def read() -> None:
        barrier.wait()
        for number in range(200):
            text = f"*{number % 7}*" * 100
            assert texts.of(text) == render(text)

    threads = [Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts.of("last")
    assert 0 < texts.bytes <= 5_000
