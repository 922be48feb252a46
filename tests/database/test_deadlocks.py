"""Writes of the API that PostgreSQL cancels because of a deadlock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from articles.models import Article
from tests.builders import write_article
from tests.client import ApiClient
from tests.database.test_idempotency import in_thread, wait_for_lock_waiters
from tests.database.test_idempotency import session as session  # a fixture
from tests.processes import database_url
from users.models import User

Api = Callable[..., ApiClient]

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_write_that_a_deadlock_cancels_is_repeated(
    api: Api, alice: User, bob: User, session: psycopg.Connection
) -> None:
    of_alice, of_bob = write_article(alice, title="One"), write_article(bob, title="Two")
    with ThreadPoolExecutor(1) as threads, psycopg.connect(database_url()) as other:
        # PostgreSQL cancels the transaction that looks for a deadlock first: the request.
        other.execute("SET deadlock_timeout = '30s'")
        other.execute("UPDATE articles_article SET slug = 'three' WHERE id = %s", [of_bob.pk])
        answer = in_thread(
            threads,
            lambda: api(alice).put(f"/api/articles/{of_alice.slug}", {"article": {"title": "Two"}}),
        )
        wait_for_lock_waiters(session, 1)
        other.execute("UPDATE articles_article SET body = 'x' WHERE id = %s", [of_alice.pk])
        other.commit()

    assert answer.result().status_code == 200
    assert answer.result().json()["article"]["body"] == "x"
    assert Article.objects.get(pk=of_alice.pk).title == "Two"
