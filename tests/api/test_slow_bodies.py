"""Bodies that arrive in parts: chunked without a Content-Length, or slowly."""

import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest

from articles.models import Article, Favorite
from tests.builders import make_user
from tests.processes import Server, database_url, granian, runserver, serving
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


def test_the_production_server_reads_chunked_bodies() -> None:
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


def test_the_development_server_refuses_chunked_bodies() -> None:
    with serving(runserver, DATABASE_URL=database_url()) as server:
        assert send_in_chunks(server, iter([LOGIN])) == (
            411,
            {"errors": {"body": ["needs a Content-Length"]}},
        )


def test_the_development_server_refuses_a_huge_content_length() -> None:
    with serving(runserver, DATABASE_URL=database_url()) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/api/users", headers={"Content-Length": "9" * 5_000})
        with closing(connection), connection.getresponse() as response:
            assert response.status == 413
            assert json.loads(response.read()) == {"errors": {"body": ["is too large"]}}


def test_slow_clients_hold_no_connection(alice: User) -> None:
    head = (
        "POST /api/articles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Token {tokens.issue(alice.pk)}\r\nContent-Length: 500\r\n\r\n{{"
    )
    limits = {"DATABASE_POOL_MIN": "1", "DATABASE_POOL_MAX": "1", "DATABASE_ACQUIRE_TIMEOUT": "5"}
    with serving(DATABASE_URL=database_url(), **limits) as server, ExitStack() as clients:
        for _ in range(4):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            clients.enter_context(client).sendall(head.encode())

        assert [server.call("GET", "/api/tags").status for _ in range(20)] == [200] * 20


def send_half(server: Server, method: str, path: str, **headers: str) -> tuple[int, Any, Any]:
    """The status, content and headers of the response to a request whose body never ends."""
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: 500\r\n\r\n{{"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(request.encode())
        with http.client.HTTPResponse(client, method=method) as response:
            response.begin()
            content = response.read()
    if response.headers["Content-Type"] == "application/json":
        content = json.loads(content)
    return response.status, content, response.headers


def test_a_body_that_does_not_arrive_is_refused_after_other_errors(
    alice: User, bob: User, article: Article
) -> None:
    late = {"errors": {"body": ["was not received in time"]}}
    article_path = "/api/articles/how-to-train-your-dragon"
    charlie = make_user("charlie")
    expected = [
        (None, "POST", "/api/users", 408, late),
        (None, "POST", "/api/articles", 401, {"errors": {"token": ["is missing"]}}),
        (None, "GET", "/api/nothing", 404, {"errors": {"path": ["not found"]}}),
        (alice, "POST", "/api/articles", 408, late),
        (alice, "PUT", "/api/user", 408, late),
        (charlie, "PUT", article_path, 403, {"errors": {"article": ["forbidden"]}}),
        (charlie, "DELETE", article_path, 403, {"errors": {"article": ["forbidden"]}}),
        (alice, "DELETE", article_path, 408, late),
        (bob, "POST", f"{article_path}/favorite", 408, late),
        (bob, "POST", "/api/articles/x/favorite", 404, {"errors": {"article": ["not found"]}}),
        (bob, "POST", "/admin/login/", 408, None),
    ]
    tokens_of = {user: f"Token {tokens.issue(user.pk)}" for user in (alice, bob, charlie)}

    with (
        serving(DATABASE_URL=database_url(), SERVER_BODY_TIMEOUT="0.2") as server,
        ThreadPoolExecutor(4) as clients,
    ):

        def ask(case: Any) -> tuple[int, Any]:
            user, method, path, *_ = case
            headers = {"Authorization": tokens_of[user]} if user else {}
            return send_half(server, method, path, Content_Type="application/json", **headers)[:2]

        answers = list(clients.map(ask, expected))

    for case, (status, content) in zip(expected, answers, strict=True):
        assert status == case[3], (case, content)
        assert case[4] is None or content == case[4]
    assert not Favorite.objects.exists()
    assert Article.objects.filter(pk=article.pk).exists()


@pytest.mark.parametrize("command", [granian, runserver])
def test_a_refused_body_has_the_headers_of_every_response(command: Any) -> None:
    with serving(command, DATABASE_URL=database_url(), SERVER_BODY_TIMEOUT="0.2") as server:
        status, _, headers = send_half(
            server, "POST", "/api/users", Origin="https://a.example", X_Request_Id="seven"
        )

    assert status == 408
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["X-Request-Id"] == "seven"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_body_that_is_cut_off_writes_nothing(alice: User) -> None:
    article = {"title": "Cut", "description": "Off", "body": "Too soon"}
    body = json.dumps({"article": article}).encode()
    head = (
        "POST /api/articles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Token {tokens.issue(alice.pk)}\r\nContent-Length: {len(body) + 1}\r\n"
        "Origin: https://a.example\r\n\r\n"
    )
    with serving(DATABASE_URL=database_url()) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(head.encode() + body)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(10_000)  # empty if the server closes the connection instead
        if answer:
            assert b" 400 " in answer.splitlines()[0]
            assert b"\r\naccess-control-allow-origin: *\r\n" in answer
            assert b"\r\nx-request-id: " in answer
        assert server.call("GET", "/api/articles").content["articlesCount"] == 0
