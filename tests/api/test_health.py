import socket
from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from pytest_django import DjangoDbBlocker, Settings

from tests.client import ApiClient

Api = Callable[..., ApiClient]


@pytest.fixture
def unreachable_database(django_db_blocker: DjangoDbBlocker) -> Iterator[int]:
    """A database at a port where nobody listens; nobody else can come to listen there."""
    with socket.socket() as port, django_db_blocker.unblock():
        port.bind(("127.0.0.1", 0))
        number = port.getsockname()[1]
        reachable = connections["default"]
        assert isinstance(reachable, DatabaseWrapper)
        settings = deepcopy(reachable.settings_dict)
        settings |= {"HOST": "127.0.0.1", "PORT": number, "PASSWORD": "a secret"}
        settings["OPTIONS"].pop("embedded", None)
        settings["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 1, "timeout": 0.3}
        # An alias of its own, and thereby a pool of its own.
        unreachable = type(reachable)(settings, alias="unreachable")
        connections["default"] = unreachable
        try:
            yield number
        finally:
            connections["default"] = reachable
            unreachable.close()
            unreachable.close_pool()


@pytest.mark.django_db
def test_it_says_that_all_is_well(api: Api) -> None:
    response = api().get("/health")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json()["status"] == "ok"
    assert response.json()["database"] == "connected"


def test_it_says_that_the_database_is_away(api: Api, unreachable_database: int) -> None:
    response = api().get("/health")

    assert response.status_code == 503
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json()["status"] == "error"
    assert response.json()["database"] == "disconnected"
    assert isinstance(response.json()["error"], str)
    assert response.json()["error"]


def test_it_tells_nobody_where_the_database_is(api: Api, unreachable_database: int) -> None:
    text = api().get("/health").text

    for detail in ("127.0.0.1", str(unreachable_database), "a secret", "Traceback", "psycopg"):
        assert detail not in text


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["Token garbage", "Basic eDp5", ""])
def test_it_needs_no_token(api: Api, header: str) -> None:
    assert api(headers={"Authorization": header}).get("/health").status_code == 200


@pytest.mark.django_db
def test_head_is_get_without_a_body(api: Api) -> None:
    response = api().head("/health")

    assert response.status_code == 200
    assert response.content == b""


@pytest.mark.django_db
def test_it_answers_a_probe_over_plain_http_where_others_are_sent_to_https(
    api: Api, settings: Settings
) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert api().get("/health").status_code == 200
    assert api().get("/api/tags").status_code == 301
