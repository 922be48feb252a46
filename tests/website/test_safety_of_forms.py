"""Forms: nobody else can send them, change what another person wrote, or lead to another site."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import URLPattern, reverse

from articles.models import Article, Comment, Favorite, Tagging
from profiles.models import Follow
from tests.builders import PASSWORD, follow, like, write_article, write_comment
from tests.rules.test_headers import STRICT, policy
from tests.website.reader import Reader
from tests.website.routes import ROUTES
from users.models import User
from website.access import safe_path

MODELS: list[type[Model]] = [Article, Comment, Favorite, Follow, Tagging, User, Session]
# What a form of the site may send, for all of them together.
FIELDS = {
    "title": "Changed",
    "description": "Changed",
    "body": "Changed",
    "username": "changed",
    "email": "changed@example.com",
    "password": "changed password",
    "bio": "Changed",
    "image": "https://a.example/changed.png",
    "words": "x",
}
# Each of them leads a browser to another site, or runs a script.
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\n/evil.example",
    "/\r\nLocation: https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "evil.example",
    "/%0a/evil.example",
    "/%5cevil.example",
    "/%2fevil.example",
    "//evil.example\\@testserver/",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//testserver/",
    "data:text/html,<script>alert(1)</script>",
    "\x00//evil.example",
    "\u2028//evil.example",
    "\uff0f\uff0fevil.example",
    "?next=//evil.example",
    "",
]


@pytest.fixture
def rows(alice: User, bob: User, charlie: User) -> dict[str, Any]:
    """What each name in a path of the site stands for: all of it is Alice's."""
    article = write_article(alice, title="Title", tags=("one",))
    comment = write_comment(alice, article)
    like(alice, article)
    follow(charlie, bob)
    return {
        "slug": article.slug,
        "pk": str(comment.pk),
        "id": str(comment.pk),
        "username": alice.username,
        "tag": "one",
        "kind": "rss",
        "block": 0,
    }


def path_of(route: URLPattern, rows: dict[str, Any]) -> str:
    values = {name: rows.get(name, "x") for name in route.pattern.converters}
    return reverse(f"website:{route.name}", kwargs=values)


def stored() -> dict[str, list[Any]]:
    return {
        model.__name__: list(model._default_manager.order_by("pk").values()) for model in MODELS
    }


def logged_in(user: User, *, checks: bool = False) -> Client:
    client = Client(enforce_csrf_checks=checks)
    client.force_login(user)
    return client


def test_no_form_is_accepted_without_its_token(alice: User, rows: dict[str, Any]) -> None:
    client = logged_in(alice, checks=True)
    token = client.get("/editor").cookies[settings.CSRF_COOKIE_NAME].value
    before = stored()
    for route in ROUTES:
        path = path_of(route, rows)
        for fields, headers in [
            (FIELDS, {}),
            (FIELDS, {"HX-Request": "true"}),
            (FIELDS | {"csrfmiddlewaretoken": "x" * 64}, {}),
            # The right token, but sent by another site.
            (FIELDS | {"csrfmiddlewaretoken": token}, {"Origin": "https://evil.example"}),
            (FIELDS | {"csrfmiddlewaretoken": token}, {"Origin": "null"}),
        ]:
            assert client.post(path, fields, headers=headers).status_code == 403, path
    assert stored() == before


def test_a_read_changes_nothing(alice: User, rows: dict[str, Any]) -> None:
    client = logged_in(alice)
    before = stored()
    for route in ROUTES:
        for read in (client.get, client.head):
            assert read(path_of(route, rows), FIELDS).status_code < 500
    after = stored()

    # The same session, still logged in.
    assert after == before


def test_a_stranger_changes_nothing(rows: dict[str, Any]) -> None:
    before = stored()
    for route in ROUTES:
        if route.name in ("register", "login"):
            continue
        for headers in ({}, {"HX-Request": "true"}):
            response = Client().post(path_of(route, rows), FIELDS, headers=headers)

            assert response.status_code in (200, 302, 303, 404, 405), route.name
    assert stored() == before


def test_charlie_changes_nothing_of_alice(alice: User, charlie: User, rows: dict[str, Any]) -> None:
    def of_others() -> dict[str, list[Any]]:
        return {
            "Article": list(Article.objects.values()),
            "Comment": list(Comment.objects.exclude(author=charlie).values()),
            "Favorite": list(Favorite.objects.exclude(user=charlie).values()),
            "Follow": list(Follow.objects.exclude(follower=charlie).values()),
            "User": list(User.objects.exclude(pk=charlie.pk).order_by("pk").values()),
            "Tagging": list(Tagging.objects.values()),
        }

    before = of_others()
    refused = {}
    client = logged_in(charlie)
    for route in ROUTES:
        # Not the forms that end the session, and those for what is his own.
        if route.name in ("register", "editor", "logout", "delete_account"):
            continue
        for headers in ({}, {"HX-Request": "true"}):
            response = client.post(path_of(route, rows), FIELDS, headers=headers)

            assert response.status_code < 500, route.name
            assert of_others() == before, route.name
            refused[route.name] = response.status_code

    for name in ("edit", "delete_article", "delete_comment"):
        assert refused[name] in (403, 404), name
    assert client.get(f"/editor/{rows['slug']}").status_code in (403, 404)


def leads_to(response: Any) -> list[str]:
    """The addresses to which a response leads the browser."""
    names = ("Location", "HX-Redirect", "HX-Location", "HX-Push-Url", "HX-Replace-Url", "Refresh")
    return [response.headers[name] for name in names if name in response.headers]


def assert_stays(address: str, sent: str) -> None:
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc) == ("", ""), (address, sent)
    assert address.startswith("/"), (address, sent)
    # For browsers, a backslash is a slash, and they drop control characters.
    assert address[1:2] not in ("/", "\\"), (address, sent)
    assert all(letter > " " for letter in address), (address, sent)


def test_no_form_leads_to_another_site(charlie: User, rows: dict[str, Any]) -> None:
    client = logged_in(charlie)
    # Not the forms that end the session.
    routes = [route for route in ROUTES if route.name not in ("delete_account", "logout")]

    def send(route: URLPattern, address: str, **headers: str) -> list[str]:
        fields = {"next": address, "body": "x"}
        query = {"next": address}
        path = path_of(route, rows)
        return leads_to(client.post(path, fields, headers=headers, query_params=query))

    leading = [route for route in routes if "/tag/one" in send(route, "/tag/one")]
    assert {"favorite", "unfavorite", "follow", "unfollow"} <= {route.name for route in leading}
    # `safe_path` has a test with all of them.
    for address in ELSEWHERE[::4]:
        for route in leading:
            (reached,) = send(route, address)
            assert_stays(reached, address)
    for route in routes:
        for reached in send(route, ELSEWHERE[0], **{"HX-Request": "true"}):
            assert_stays(reached, ELSEWHERE[0])


def test_only_a_path_of_this_site_is_safe(rf: RequestFactory) -> None:
    for address in ELSEWHERE:
        assert_stays(safe_path(rf.get("/"), address), address)
    for path in ("/", "/article/x?a=b&c=%2F#d", "/tag/a/b", "/profile/%C3%A9"):
        assert safe_path(rf.get("/"), path) == path


@pytest.mark.parametrize("page", ["login", "register"])
@pytest.mark.parametrize("in_query", [True, False])
def test_an_account_form_leads_only_to_this_site(alice: User, page: str, in_query: bool) -> None:
    fields = {"email": alice.email, "password": PASSWORD}
    if page == "register":
        fields |= {"email": "new@example.com", "username": "new"}
    for address in ("/article/x?a=b", "//evil.example"):
        names = {"next": address}
        response = Client().post(
            f"/{page}",
            fields if in_query else fields | names,
            query_params=names if in_query else None,
        )

        assert response.status_code == 303
        (leading,) = leads_to(response)
        assert leading == ("/" if "evil" in address else address)
        fields |= (
            {"email": alice.email} if page == "login" else {"email": "b@c.de", "username": "b"}
        )


def test_a_return_address_comes_only_from_this_site(alice: User) -> None:
    for path in ("//evil.example/../editor", "/editor?next=//evil.example"):
        client = Client()
        client.get(path, headers={"Host": "testserver", "Referer": "https://evil.example/"})
        response = client.post("/login", {"email": alice.email, "password": PASSWORD})

        assert_stays(leads_to(response)[0], path)


def test_every_page_has_the_strict_policy(
    stranger: Reader, reader_for: Callable[[User], Reader], alice: User, rows: dict[str, Any]
) -> None:
    for reader in (stranger, reader_for(alice)):
        for route in ROUTES:
            response = reader.get(path_of(route, rows))

            assert policy(response) == STRICT, route.name
            assert "unsafe" not in response.headers["Content-Security-Policy"], route.name
            assert response.headers["X-Frame-Options"] == "DENY", route.name
            if response.status_code == 200:
                # A page of this site needs no code of its own.
                assert "nonce" not in response.headers["Content-Security-Policy"], route.name
                assert b"nonce" not in response.content, route.name


def test_cookies_are_out_of_reach_for_scripts(alice: User) -> None:
    client = Client()
    client.get("/editor")
    client.get("/login")
    client.post("/login", {"email": alice.email, "password": PASSWORD})

    assert {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME} <= {*client.cookies}
    for name, cookie in client.cookies.items():
        if not cookie.value:  # it was deleted
            continue
        assert cookie["httponly"], name
        assert cookie["samesite"] == "Lax", name
        assert cookie["path"] == "/", name
        assert not cookie["domain"], name
