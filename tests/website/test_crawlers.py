import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from articles import id_blocks
from articles.models import Article
from tests.builders import write_article
from tests.website.reader import Reader
from users.models import User

NAMES = {"": "http://www.sitemaps.org/schemas/sitemap/0.9"}


def addresses(reader: Reader, path: str) -> list[str]:
    response = reader.get(path)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/xml; charset=utf-8"
    tree = ElementTree.fromstring(response.content)  # noqa: S314 -- our own document
    return [
        str(node.text).removeprefix("http://testserver") for node in tree.iterfind(".//loc", NAMES)
    ]


def test_the_sitemap_leads_to_every_article(
    stranger: Reader, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    slugs = []
    for pk in (1, 9_999, 10_000, 1_000_000_000_000):
        article = write_article(alice, pk=pk)
        slugs.append(article.slug)

    with django_assert_num_queries(1):
        pages = addresses(stranger, "/sitemap.xml")
    found = [addresses(stranger, page) for page in pages]

    assert pages == [f"/sitemap-articles-{number}.xml" for number in (0, 1, 100_000_000)]
    assert found == [
        [f"/article/{slug}" for slug in part] for part in (slugs[:2], slugs[2:3], slugs[3:])
    ]
    with django_assert_num_queries(1):
        stranger.get(pages[0])


def test_it_has_the_time_of_the_last_change(stranger: Reader, alice: User) -> None:
    article = write_article(alice, pk=5)
    Article.objects.filter(pk=5).update(updated_at=datetime(2026, 5, 4, 3, 2, 1, 999, tzinfo=UTC))

    assert (
        f"<loc>http://testserver/article/{article.slug}</loc>"
        "<lastmod>2026-05-04T03:02:01+00:00</lastmod>"
    ) in stranger.get("/sitemap-articles-0.xml").content.decode()


def test_it_has_no_hidden_articles(stranger: Reader, alice: User, bob: User) -> None:
    shown = write_article(alice, pk=1)
    write_article(alice, pk=2, hidden_at=timezone.now())
    write_article(bob, pk=3)
    User.objects.filter(pk=bob.pk).update(hidden_at=timezone.now())

    assert addresses(stranger, "/sitemap-articles-0.xml") == [f"/article/{shown.slug}"]


@pytest.mark.parametrize("number", [1, 10**9, 10**20, "9" * 5000])
def test_a_page_that_does_not_exist(stranger: Reader, alice: User, number: int) -> None:
    write_article(alice, pk=1)

    assert stranger.get(f"/sitemap-articles-{number}.xml").status_code == 404


def test_the_sitemap_of_an_empty_site(stranger: Reader) -> None:
    assert addresses(stranger, "/sitemap.xml") == []


def test_the_index_has_a_limit(
    stranger: Reader, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_blocks, "MOST_BLOCKS", 2)
    for block in range(3):
        write_article(alice, pk=1 + block * id_blocks.BLOCK)

    assert len(addresses(stranger, "/sitemap.xml")) == 2


def test_robots_are_kept_from_private_pages_and_find_the_sitemap(stranger: Reader) -> None:
    text = stranger.get("/robots.txt").content.decode()

    refused = re.findall("(?m)^Disallow: (.+)$", text)
    assert {*refused} == {
        *("/admin/", "/api/", "/health", "/metrics", "/search", "/*?feed="),
        *("/editor", "/login", "/logout", "/password", "/register", "/settings"),
    }
    assert text.startswith("User-agent: *\n")
    assert text.endswith("\nSitemap: http://testserver/sitemap.xml\n")


def test_answers_for_programs_can_be_kept_by_proxies(stranger: Reader) -> None:
    for path in ("/robots.txt", "/sitemap.xml"):
        first = stranger.get(path)
        second = stranger.get(path, headers={"If-None-Match": first["ETag"]})

        assert (second.status_code, second.content) == (304, b"")
        assert first["Cache-Control"] == "public, max-age=3600"
        assert "Vary" not in first
