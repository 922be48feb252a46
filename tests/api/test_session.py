"""A whole session of a front end, over HTTP, with the production server."""

from typing import Any

import pytest

from tests.processes import Answer, Server, database_url, serving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Any:
    with serving(DATABASE_URL=database_url()) as server:
        yield server


class Person:
    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.token = ""
        user = {"username": name, "email": f"{name}@example.com", "password": "password123"}
        registered = self.call("POST", "/api/users", 201, {"user": user})
        assert registered["user"]["username"] == name
        logged_in = self.call("POST", "/api/users/login", 200, {"user": user})
        self.token = logged_in["user"]["token"]

    def call(self, method: str, path: str, status: int, body: Any = None) -> Any:
        """The content of the response, which must have this status."""
        answer: Answer = self.server.call(method, path, body, self.token)
        print(method, path, answer.status, answer.content)
        assert answer.status == status, answer
        return answer.content


def test_two_users_register_write_read_and_delete(server: Server) -> None:
    jane, john = Person(server, "jane"), Person(server, "john")

    changed = jane.call("PUT", "/api/user", 200, {"user": {"bio": "I write"}})
    assert changed["user"] == jane.call("GET", "/api/user", 200)["user"]

    draft = {"title": "How to train", "description": "Dragons", "body": "Gently"}
    article = jane.call("POST", "/api/articles", 201, {"article": draft | {"tagList": ["b", "a"]}})[
        "article"
    ]
    path = f"/api/articles/{article['slug']}"
    assert article["tagList"] == ["a", "b"]
    assert john.call("GET", "/api/tags", 200) == {"tags": ["a", "b"]}

    assert john.call("GET", "/api/articles/feed", 200) == {"articles": [], "articlesCount": 0}
    followed = john.call("POST", "/api/profiles/jane/follow", 200)
    assert followed["profile"]["following"] is True
    (shown,) = john.call("GET", "/api/articles/feed?tag=a", 200)["articles"]
    assert shown["slug"] == article["slug"]
    assert shown["author"]["following"] is True

    favorited = john.call("POST", f"{path}/favorite", 200)["article"]
    assert (favorited["favorited"], favorited["favoritesCount"]) == (True, 1)
    listed = jane.call("GET", "/api/articles?favorited=john&author=jane", 200)
    assert listed["articlesCount"] == 1
    assert john.call("DELETE", f"{path}/favorite", 200)["article"]["favoritesCount"] == 0

    comment = john.call("POST", f"{path}/comments", 201, {"comment": {"body": "Thanks"}})["comment"]
    assert jane.call("GET", f"{path}/comments", 200) == {"comments": [comment]}
    jane.call("DELETE", f"{path}/comments/{comment['id']}", 403)
    john.call("DELETE", f"{path}/comments/{comment['id']}", 204)

    john.call("PUT", path, 403, {"article": {"body": "Mine now"}})
    change = {"article": {"title": "How to ride", "tagList": []}}
    edited = jane.call("PUT", path, 200, change)["article"]
    assert edited["slug"] == "how-to-ride"
    assert edited["createdAt"] == article["createdAt"]
    jane.call("GET", path, 301)
    john.call("DELETE", "/api/articles/how-to-ride", 403)
    jane.call("DELETE", "/api/articles/how-to-ride", 204)
    assert john.call("DELETE", "/api/profiles/jane/follow", 200)["profile"]["following"] is False
    assert john.call("GET", "/api/articles", 200) == {"articles": [], "articlesCount": 0}
