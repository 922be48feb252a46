"""Properties of the SQL that a response does not show."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from articles.models import Article
from tests.client import ApiClient


@pytest.mark.django_db
def test_names_are_sorted_by_code_point_with_any_collation() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_collation_for(name) FROM articles_usedtag RIGHT JOIN (SELECT) ON true"
        )
        assert cursor.fetchall() == [('"C"',)]


def test_a_list_does_not_read_the_bodies(article: Article) -> None:
    with CaptureQueriesContext(connection) as statements:
        assert len(ApiClient().get("/api/articles").json()["articles"]) == 1

    assert not any('"body"' in statement["sql"] for statement in statements)
