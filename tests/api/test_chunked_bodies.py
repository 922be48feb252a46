"""Bodies whose length nobody says beforehand, as many HTTP clients send them."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.processes import Server, database_url, runserver, serving

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN = json.dumps({"user": {"email": "nobody@example.com", "password": "password123"}}).encode()


def send_in_chunks(server: Server, chunks: Iterator[bytes]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection.request("POST", "/api/users/login", chunks, headers, encode_chunked=True)
    with closing(connection), connection.getresponse() as response:
        return response.status, json.loads(response.read())


def test_the_production_server_reads_them() -> None:
    with serving(DATABASE_URL=database_url()) as server:
        assert send_in_chunks(server, iter([LOGIN[:20], LOGIN[20:]])) == (
            401,
            {"errors": {"credentials": ["invalid"]}},
        )
        assert send_in_chunks(server, iter([b" " * 100_000] * 30)) == (
            413,
            {"errors": {"body": ["is too large"]}},
        )
        assert send_in_chunks(server, iter([])) == (
            422,
            {"errors": {"email": ["can't be blank"], "password": ["can't be blank"]}},
        )


def test_the_development_server_asks_for_their_length() -> None:
    with serving(runserver, DATABASE_URL=database_url()) as server:
        assert send_in_chunks(server, iter([LOGIN])) == (
            411,
            {"errors": {"body": ["needs a Content-Length"]}},
        )
