"""Each answer in the description is one that the API gives.

`ApiClient` compares every answer of every test with the description. Here each endpoint gives each
of its answers, so that the description has none that no request gets.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import JsonResponse
from django.test import RequestFactory
from rest_framework.throttling import SimpleRateThrottle

from articles.models import Article
from articles.views import TagViewSet
from config.bodies.middleware import STATUS
from config.bodies.receiving import REFUSED
from config.errors.handlers import database_failure
from database.errors import Failure
from tests.builders import PASSWORD, write_comment
from tests.client import ApiClient
from tests.described import Json, operation_of, operations, problems
from users.models import User

Api = Callable[..., ApiClient]

# Middleware and the handler of exceptions give these. The last tests get each of them once.
SHARED = {"408", "411", "413", "500", "503", "504"}
# Other tests get these.
ELSEWHERE = {
    "CreateArticle 404",  # test_idempotency.py: repeated after the article was deleted
    "UpdateCurrentUser 429",  # test_login_queue.py: too many passwords wait for hashing
}

# The status of the answer, then the request: method, path, body, and who sends it.
type Case = tuple[int, str, str, Any, ApiClient]

TEXTS = {"title": "Fire", "description": "How dragons make it", "body": "They eat coal."}


def ask(case: Case, **options: Any) -> str:
    """Sends the request; returns the operation with the status of the answer."""
    status, method, path, body, client = case
    if method in ("POST", "PUT"):
        response = getattr(client, method.lower())(path, body, **options)
    else:
        response = client.generic(method, path, **options)
    assert response.status_code == status, (method, path, response.content)
    return f"{name_of(case)} {status}"


def name_of(case: Case) -> str:
    operation = operation_of(case[1], case[2].partition("?")[0])
    assert operation
    return str(operation["operationId"])


@pytest.fixture
def cases(api: Api, alice: User, bob: User, charlie: User, article: Article) -> list[Case]:
    """In an order in which each is possible."""
    comment = write_comment(bob, article).pk
    old = f"/api/articles/{article.slug}"
    article.title = "How to ride your dragon"
    article.save()
    return cases_of(
        old, f"/api/articles/{article.slug}", comment, *map(api, (None, alice, bob, charlie))
    )


def cases_of(old: str, here: str, comment: int, *clients: ApiClient) -> list[Case]:
    nobody, alice, bob, charlie = clients
    gone = "/api/articles/unknown"
    user = {"username": "dora", "email": "dora@example.com", "password": PASSWORD}
    return [
        (201, "POST", "/api/users", {"user": user}, nobody),
        (409, "POST", "/api/users", {"user": user}, nobody),
        (422, "POST", "/api/users", {}, nobody),
        (200, "POST", "/api/users/login", {"user": user}, nobody),
        (401, "POST", "/api/users/login", {"user": user | {"password": "wrong"}}, nobody),
        (422, "POST", "/api/users/login", {}, nobody),
        (200, "GET", "/api/user", None, alice),
        (200, "PUT", "/api/user", {"user": {"bio": "I train dragons."}}, alice),
        (409, "PUT", "/api/user", {"user": {"username": "bob"}}, alice),
        (422, "PUT", "/api/user", {"user": {"email": "no e-mail"}}, alice),
        (200, "GET", "/api/profiles/alice", None, bob),
        (404, "GET", "/api/profiles/nobody", None, bob),
        (200, "POST", "/api/profiles/alice/follow", b"", bob),
        (404, "POST", "/api/profiles/nobody/follow", b"", bob),
        (422, "POST", "/api/profiles/bob/follow", b"", bob),
        (200, "DELETE", "/api/profiles/alice/follow", None, bob),
        (404, "DELETE", "/api/profiles/nobody/follow", None, bob),
        (200, "GET", "/api/articles?limit=1", None, nobody),
        (422, "GET", "/api/articles?limit=x&offset=-1&before=x", None, nobody),
        (200, "GET", "/api/articles/feed?limit=1", None, bob),
        (422, "GET", "/api/articles/feed?offset=0&before=x", None, bob),
        (201, "POST", "/api/articles", {"article": TEXTS | {"tagList": ["fire"]}}, alice),
        (422, "POST", "/api/articles", {"article": TEXTS | {"tagList": None}}, alice),
        (200, "GET", here, None, nobody),
        (301, "GET", old, None, nobody),
        (404, "GET", gone, None, nobody),
        (200, "PUT", here, {"article": {"tagList": []}}, alice),
        (403, "PUT", here, {"article": {"tagList": []}}, charlie),
        (404, "PUT", gone, {"article": {"tagList": []}}, alice),
        (422, "PUT", here, {"article": {"tagList": [" "]}}, alice),
        (200, "POST", f"{here}/favorite", b"", bob),
        (404, "POST", f"{gone}/favorite", b"", bob),
        (200, "DELETE", f"{here}/favorite", None, bob),
        (404, "DELETE", f"{gone}/favorite", None, bob),
        (200, "GET", f"{here}/comments?limit=1", None, bob),
        (301, "GET", f"{old}/comments", None, bob),
        (404, "GET", f"{gone}/comments", None, bob),
        (422, "GET", f"{here}/comments?limit=0", None, bob),
        (201, "POST", f"{here}/comments", {"comment": {"body": "Thank you."}}, bob),
        (404, "POST", f"{gone}/comments", {"comment": {"body": "Thank you."}}, bob),
        (422, "POST", f"{here}/comments", {"comment": {"body": ""}}, bob),
        (403, "DELETE", f"{here}/comments/{comment}", None, charlie),
        (404, "DELETE", f"{here}/comments/0", None, bob),
        (204, "DELETE", f"{here}/comments/{comment}", None, bob),
        (200, "GET", "/api/tags?limit=1", None, nobody),
        (422, "GET", "/api/tags?offset=x", None, nobody),
        (403, "DELETE", here, None, charlie),
        (404, "DELETE", gone, None, alice),
        (204, "DELETE", here, None, alice),
    ]


def test_each_operation_gives_each_of_its_answers(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    favorite = next(case for case in cases if case[2].endswith("/favorite"))
    given = {ask((422, *favorite[1:]), headers={"Idempotency-Key": "\N{SNOWMAN}"})}
    for case in {name_of(case): case for case in reversed(cases)}.values():
        given |= refusals_of(case)
    given |= {ask(case) for case in cases}
    for scope in SimpleRateThrottle.THROTTLE_RATES:
        monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, scope, "0/minute")
    given |= {
        ask((429, *case[1:]))
        for case in cases
        if case[1] != "GET" and "UpdateCurrentUser" not in name_of(case)
    }

    described = {
        f"{operation['operationId']} {status}"
        for _, _, operation in operations()
        for status in operation["responses"]
        if status not in SHARED
    }
    assert given == described - ELSEWHERE


def refusals_of(case: Case) -> set[str]:
    """The answers to requests that are wrong for each operation of this kind."""
    _, method, path, body, client = case
    (operation,) = (each for _, _, each in operations() if each["operationId"] == name_of(case))
    given = {ask((400, method, path, body, client), headers={"Host": "not a host"})}
    if {} not in operation["security"]:
        given.add(ask((401, method, path, body, ApiClient())))
    if "requestBody" in operation:
        given.add(ask((400, method, path, b"{", client)))
        given.add(ask((415, method, path, b"{}", client), content_type="text/plain"))
    return given


@pytest.mark.django_db
@pytest.mark.parametrize(("code", "status"), STATUS.items())
def test_a_refused_body_is_answered_as_described(api: Api, code: str, status: int) -> None:
    # As `config.bodies.receiving` marks it.
    response = api().post("/api/users", {}, **{REFUSED: code})

    assert response.status_code == status


@pytest.mark.parametrize("failure", Failure)
def test_a_failure_of_the_database_is_answered_as_described(
    api: Api, failure: Failure, rf: RequestFactory
) -> None:
    path = "/api/tags"

    response = database_failure(rf.get(path), failure)

    response["X-Request-Id"], response["Vary"] = "1", "origin"  # as the middleware does
    assert problems("GET", path, response) == []


def test_a_bug_is_answered_as_described(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(TagViewSet, "check_permissions", fail)

    assert api(raise_request_exception=False).get("/api/tags").status_code == 500


@pytest.mark.parametrize(
    ("status", "body", "headers", "found"),
    [
        (200, {"tags": ["dragons"]}, {}, []),
        (201, {"tags": ["dragons"]}, {}, ["status 201"]),
        (200, {"tags": ["dragons"], "more": 1}, {}, ["body: Additional properties"]),
        (200, {"tags": ["a", "a"]}, {}, ["body: ["]),
        (200, {}, {}, ['body: "tags" is a required property']),
        (200, {"tags": []}, {"X-More": "1"}, ["header x-more"]),
        (200, {"tags": []}, {"Link": "nowhere"}, ["header Link: nowhere"]),
        (422, {"errors": {"offset": ["is invalid"]}}, {}, []),
        (422, {"errors": {"offset": [""]}}, {}, ["body: "]),
        (422, {"errors": {"tag": ["is invalid"]}}, {}, ["body: Additional properties"]),
    ],
)
def test_an_answer_that_is_not_as_described_is_found(
    status: int, body: Json, headers: dict[str, str], found: list[str]
) -> None:
    headers = {"X-Request-Id": "1", "Vary": "origin"} | headers
    response = JsonResponse(body, status=status, headers=headers)

    problem = problems("GET", "/api/tags", response)

    assert len(problem) == len(found)
    assert all(map(str.startswith, problem, found)), problem
