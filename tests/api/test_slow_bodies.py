"""Bodies that come bit by bit: in chunks of no given sum, or slowly."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.processes import Server, database_url, runserver, serving
from users import tokens
from users.models import User

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


def test_slow_clients_hold_no_connection(alice: User) -> None:
    head = (
        "POST /api/articles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Token {tokens.issue(alice.pk)}\r\nContent-Length: 500\r\n\r\n{{"
    )
    limits = {"DATABASE_POOL_MIN": "1", "DATABASE_POOL_MAX": "1", "DATABASE_ACQUIRE_TIMEOUT": "0.5"}
    with serving(DATABASE_URL=database_url(), **limits) as server, ExitStack() as clients:
        for _ in range(4):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            clients.enter_context(client).sendall(head.encode())

        assert [server.call("GET", "/api/tags").status for _ in range(20)] == [200] * 20


def test_a_body_that_is_cut_off_does_nothing(alice: User) -> None:
    article = {"title": "Cut", "description": "Off", "body": "Too soon"}
    body = json.dumps({"article": article}).encode()
    head = (
        "POST /api/articles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Token {tokens.issue(alice.pk)}\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    )
    with serving(DATABASE_URL=database_url()) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(head.encode() + body)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(10_000)  # or none: the server may hang up as well
        assert not answer or b" 400 " in answer.splitlines()[0]
        assert server.call("GET", "/api/articles").content["articlesCount"] == 0
