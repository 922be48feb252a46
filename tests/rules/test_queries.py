"""Properties of the SQL that a response does not show."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from articles.models import Article
from articles.queries import tags_most_used_first
from tests.client import ApiClient


def test_names_are_sorted_by_code_point_with_any_collation() -> None:
    assert 'COLLATE "C"' in str(tags_most_used_first.queryset().query)


def test_a_list_does_not_read_the_bodies(article: Article) -> None:
    with CaptureQueriesContext(connection) as statements:
        assert len(ApiClient().get("/api/articles").json()["articles"]) == 1

    assert not any('"body"' in statement["sql"] for statement in statements)
