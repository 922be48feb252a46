import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from articles.models import Article, Tag
from tests.builders import write_article
from tests.client import ApiClient
from users.models import User

Api = Callable[..., ApiClient]

PATH = "/api/articles"
CONTENT = {"title": "A title", "description": "What it is about", "body": "A text"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

CANT_BE_BLANK = ["can't be blank"]
ALL_BLANK = {
    "errors": {"title": CANT_BE_BLANK, "description": CANT_BE_BLANK, "body": CANT_BE_BLANK}
}


def test_it_publishes_an_article(api: Api, alice: User) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # timestamps are cut to milliseconds

    response = api(alice).post(
        PATH,
        {
            "article": {
                "title": "How to train your dragon",
                "description": "Ever wonder how?",
                "body": "You have to believe",
                "tagList": ["training", "dragons"],
            }
        },
    )

    assert response.status_code == 201
    shown = response.json()["article"]
    assert response.json() == {
        "article": {
            "slug": Article.objects.get().slug,
            "title": "How to train your dragon",
            "description": "Ever wonder how?",
            "body": "You have to believe",
            "tagList": ["dragons", "training"],
            "createdAt": shown["createdAt"],
            "updatedAt": shown["updatedAt"],
            "favorited": False,
            "favoritesCount": 0,
            "author": {"username": "alice", "bio": None, "image": None, "following": False},
        }
    }
    for timestamp in (shown["createdAt"], shown["updatedAt"]):
        assert TIMESTAMP.fullmatch(timestamp)
        assert before <= datetime.fromisoformat(timestamp) <= datetime.now(UTC)


def test_everybody_sees_it_afterwards(api: Api, alice: User, bob: User) -> None:
    content = CONTENT | {"tagList": ["python"]}

    shown = api(alice).post(PATH, {"article": content}).json()["article"]

    assert api().get(f"{PATH}/{shown['slug']}").json()["article"] == shown
    del shown["body"]
    assert api().get(PATH).json() == {"articles": [shown], "articlesCount": 1}
    shown["author"]["following"] = True
    assert api(bob).get(f"{PATH}/feed").json() == {"articles": [shown], "articlesCount": 1}


@pytest.mark.parametrize("tags", [{}, {"tagList": []}])
def test_it_needs_no_tags(api: Api, alice: User, tags: dict[str, list[str]]) -> None:
    response = api(alice).post(PATH, {"article": CONTENT | tags})

    assert response.status_code == 201
    assert response.json()["article"]["tagList"] == []


def test_the_body_cannot_choose_the_author(api: Api, alice: User, charlie: User) -> None:
    others = {
        "author": {"username": "alice"},
        "author_id": alice.pk,
        "id": 7,
        "slug": "feed",
        "createdAt": "2016-02-18T03:22:56.637Z",
        "favorited": True,
        "favoritesCount": 9,
        "whatever": {"it": ["is"]},
    }

    response = api(charlie).post(PATH, {"article": CONTENT | others, "author": "alice"})

    assert response.status_code == 201
    shown = response.json()["article"]
    assert shown["author"]["username"] == "charlie"
    assert shown["slug"] != "feed"
    assert shown["createdAt"] != others["createdAt"]
    assert (shown["favorited"], shown["favoritesCount"]) == (False, 0)
    assert not Article.objects.filter(author=alice).exists()


def test_charlie_cannot_change_an_article_by_using_its_title(
    api: Api, article: Article, charlie: User
) -> None:
    before = api().get(f"{PATH}/{article.slug}").json()

    response = api(charlie).post(PATH, {"article": CONTENT | {"title": article.title}})

    assert response.status_code == 201
    assert response.json()["article"]["slug"] != article.slug
    assert api().get(f"{PATH}/{article.slug}").json() == before


def test_html_is_stored_unchanged(api: Api, alice: User) -> None:
    html = "<script>alert('&amp;')</script> <b>bold</b> & \"quoted\""
    content = {"title": html, "description": html, "body": html, "tagList": ["<b>"]}

    shown = api(alice).post(PATH, {"article": content}).json()["article"]

    assert {name: shown[name] for name in content} == content


def test_white_space_is_trimmed_in_the_title_and_kept_in_other_texts(api: Api, alice: User) -> None:
    content = {"title": " \t A  title \n", "description": "  What? \n", "body": "\n\n  Text\t\n"}

    shown = api(alice).post(PATH, {"article": content}).json()["article"]

    assert shown["title"] == "A  title"
    assert shown["description"] == "  What? \n"
    assert shown["body"] == "\n\n  Text\t\n"
    assert api().get(f"{PATH}/{shown['slug']}").json()["article"] == shown


@pytest.mark.parametrize("field", ["title", "description", "body"])
@pytest.mark.parametrize("blank", ["missing", None, "", " ", " \t\r\n ", "\u3000\u00a0"])
def test_it_refuses_a_blank_text(api: Api, alice: User, field: str, blank: str | None) -> None:
    content: dict[str, str | None] = {**CONTENT, field: blank}
    if blank == "missing":
        del content[field]

    response = api(alice).post(PATH, {"article": content})

    assert response.status_code == 422
    assert response.json() == {"errors": {field: ["can't be blank"]}}
    assert not Article.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"article": None},
        {"article": {}},
        {"article": {"title": "", "description": None, "body": " "}},
        {"something": CONTENT},
        CONTENT,
    ],
)
def test_it_reports_all_missing_fields_at_once(api: Api, alice: User, body: dict[str, Any]) -> None:
    response = api(alice).post(PATH, body)

    assert response.status_code == 422
    assert response.json() == ALL_BLANK


def test_it_reports_all_invalid_fields_at_once(api: Api, alice: User) -> None:
    content = {"title": " ", "description": 1, "body": "\0", "tagList": None}

    response = api(alice).post(PATH, {"article": content})

    assert response.status_code == 422
    errors = response.json()["errors"]
    assert {*errors} == {"title", "description", "body", "tagList"}
    assert errors["title"] == ["can't be blank"]
    assert errors["tagList"] == ["can't be null"]


@pytest.mark.parametrize("field", ["title", "description", "body"])
@pytest.mark.parametrize("value", [1, 1.5, True, False, 0, [], ["A"], {}, {"a": "b"}])
def test_it_refuses_a_value_that_is_not_a_text(
    api: Api, alice: User, field: str, value: object
) -> None:
    response = api(alice).post(PATH, {"article": CONTENT | {field: value}})

    assert response.status_code == 422
    errors = response.json()["errors"]
    assert [*errors] == [field]
    assert errors[field]
    assert all(isinstance(message, str) and message for message in errors[field])


@pytest.mark.parametrize("field", ["title", "description", "body"])
@pytest.mark.parametrize("text", ["\0", "a\0b", "end\0"])
def test_it_refuses_a_null_byte(api: Api, alice: User, field: str, text: str) -> None:
    response = api(alice).post(PATH, {"article": CONTENT | {field: text}})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == [field]


@pytest.mark.parametrize("field", ["title", "description", "body", "tagList"])
def test_half_a_surrogate_pair_is_a_client_error(api: Api, alice: User, field: str) -> None:
    text = ["a\ud800b"] if field == "tagList" else "a\ud800b"

    response = api(alice).post(PATH, {"article": CONTENT | {field: text}})

    assert response.status_code in (400, 422)
    assert [*response.json()] == ["errors"]


@pytest.mark.parametrize(
    ("field", "length"), [("title", 255), ("description", 1_000), ("body", 200_000)]
)
@pytest.mark.parametrize("letter", ["a", "ä", "日", "😀"])
def test_texts_have_a_maximum_length(
    api: Api, alice: User, field: str, length: int, letter: str
) -> None:
    longest = CONTENT | {field: letter * length}
    too_long = CONTENT | {field: letter * (length + 1)}

    accepted = api(alice).post(PATH, {"article": longest})
    refused = api(alice).post(PATH, {"article": too_long})

    assert accepted.status_code == 201
    assert accepted.json()["article"][field] == letter * length
    assert refused.status_code == 422
    assert [*refused.json()["errors"]] == [field]


def test_trimmed_white_space_does_not_count(api: Api, alice: User) -> None:
    content = CONTENT | {"title": f"  {'a' * 255}  ", "tagList": [f"  {'a' * 64}  "]}

    response = api(alice).post(PATH, {"article": content})

    assert response.status_code == 201
    assert response.json()["article"]["title"] == "a" * 255
    assert response.json()["article"]["tagList"] == ["a" * 64]


INVISIBLE = [
    "\u200b",
    " \ufeff\u00a0",
    "\u3164",
    "\u034f\ufe0f",
    "\u00ad\u2060\u061c",
    "\U000e0020",
]
# Control characters and line separators without NUL, which has a test above.
BREAKS = ["\n", "\r\n", "\t", "\x0b", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"]


@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
def test_a_title_or_tag_of_invisible_characters_is_blank(api: Api, alice: User, text: str) -> None:
    content = CONTENT | {"title": text, "tagList": ["good", text]}

    response = api(alice).post(PATH, {"article": content})

    assert response.status_code == 422
    assert response.json() == {"errors": {"title": CANT_BE_BLANK, "tagList": CANT_BE_BLANK}}


@pytest.mark.parametrize("character", BREAKS, ids=ascii)
def test_a_title_and_a_tag_must_be_one_line(api: Api, alice: User, character: str) -> None:
    text = f"a{character}b"

    response = api(alice).post(PATH, {"article": CONTENT | {"title": text, "tagList": [text]}})

    assert response.status_code == 422
    one_line = ["must be one line"]
    assert response.json() == {"errors": {"title": one_line, "tagList": one_line}}


@pytest.mark.parametrize("character", BREAKS, ids=ascii)
def test_the_other_texts_may_have_many_lines(api: Api, alice: User, character: str) -> None:
    content = CONTENT | {"description": f"a{character}b", "body": f"{character}a"}

    response = api(alice).post(PATH, {"article": content})

    assert response.status_code == 201
    assert {name: response.json()["article"][name] for name in content} == content


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d🚀",
        "❤\ufe0f",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "e\u0301",
        "\u2800",
    ],
    ids=ascii,
)
def test_invisible_characters_are_kept_beside_visible_ones(
    api: Api, alice: User, text: str
) -> None:
    response = api(alice).post(PATH, {"article": CONTENT | {"title": text, "tagList": [text]}})

    assert response.status_code == 201
    shown = response.json()["article"]
    assert (shown["title"], shown["tagList"]) == (text, [text])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["b", "a", "B", "ä", "Z"], ["B", "Z", "a", "b", "ä"]),
        (["a", "b", "a", "a"], ["a", "b"]),
        (["Python", "python", "PYTHON"], ["PYTHON", "Python", "python"]),
        (["  a ", "a", "\ta\n"], ["a"]),
        (["a b", " a  b "], ["a  b", "a b"]),
        (["10", "9", "1"], ["1", "10", "9"]),
        (["a-b", "a b", "ab", "a_b"], ["a b", "a-b", "a_b", "ab"]),
        # In the order of UTF-16 the emoji would come before "\uff5e".
        (["😀", "\uff5e", "日本語"], ["日本語", "\uff5e", "😀"]),
        (["é", "e\u0301", "e"], ["e", "e\u0301", "é"]),
        (["a,b", "100%", "it's", '"', "\\"], ['"', "100%", "\\", "a,b", "it's"]),
        (["NULL", "null", "{}"], ["NULL", "null", "{}"]),
    ],
)
def test_tags_are_trimmed_unique_and_sorted_by_code_point(
    api: Api, alice: User, sent: list[str], kept: list[str]
) -> None:
    response = api(alice).post(PATH, {"article": CONTENT | {"tagList": sent}})

    assert response.status_code == 201
    shown = response.json()["article"]
    assert shown["tagList"] == kept == sorted(kept)
    assert api().get(f"{PATH}/{shown['slug']}").json()["article"]["tagList"] == kept
    assert api().get(PATH).json()["articles"][0]["tagList"] == kept


def test_articles_share_their_tags(api: Api, alice: User, bob: User) -> None:
    for writer in (alice, bob):
        response = api(writer).post(PATH, {"article": CONTENT | {"tagList": ["python"]}})
        assert response.status_code == 201

    assert api().get(PATH, {"tag": "python"}).json()["articlesCount"] == 2
    assert api().get("/api/tags").json() == {"tags": ["python"]}


def test_it_refuses_null_for_tags(api: Api, alice: User) -> None:
    response = api(alice).post(PATH, {"article": CONTENT | {"tagList": None}})

    assert response.status_code == 422
    assert response.json() == {"errors": {"tagList": ["can't be null"]}}
    assert not Article.objects.exists()


@pytest.mark.parametrize(
    "tags",
    [
        [""],
        ["  "],
        ["good", "\t\n"],
        ["a\0b"],
        [None],
        [1],
        [True],
        [["a"]],
        [{"name": "a"}],
        "python",
        "",
        1,
        True,
        {},
        {"0": "python"},
        ["a" * 65],
        [f"tag{number}" for number in range(31)],
    ],
)
def test_it_refuses_invalid_tags(api: Api, alice: User, tags: object) -> None:
    response = api(alice).post(PATH, {"article": CONTENT | {"tagList": tags}})

    assert response.status_code == 422
    errors = response.json()["errors"]
    assert [*errors] == ["tagList"]
    assert errors["tagList"]
    assert all(isinstance(message, str) and message for message in errors["tagList"])
    assert not Article.objects.exists()


@pytest.mark.parametrize("letter", ["a", "ä", "日", "😀"])
def test_it_accepts_30_tags_of_64_characters(api: Api, alice: User, letter: str) -> None:
    tags = sorted(f"{number:02}{letter * 62}" for number in range(30))

    response = api(alice).post(PATH, {"article": CONTENT | {"tagList": tags}})

    assert response.status_code == 201
    assert response.json()["article"]["tagList"] == tags


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"article": }', b"article", b'{"article": NaN}', b"\xff\xfe", b'{"article": {}}}'],
)
def test_it_refuses_malformed_json(api: Api, alice: User, body: bytes) -> None:
    response = api(alice).post(PATH, body)

    assert response.status_code == 400
    assert response.json() == {"errors": {"body": ["is not valid JSON"]}}


@pytest.mark.parametrize("body", [b"[]", b'"article"', b"1", b"null", b"true", b"[{}]"])
def test_it_refuses_a_body_that_is_not_an_object(api: Api, alice: User, body: bytes) -> None:
    response = api(alice).post(PATH, body)

    assert response.status_code == 400
    assert response.json() == {"errors": {"body": ["must be an object"]}}


@pytest.mark.parametrize("content", ["text", 1, True, [], [CONTENT]])
def test_it_refuses_an_article_that_is_not_an_object(
    api: Api, alice: User, content: object
) -> None:
    response = api(alice).post(PATH, {"article": content})

    assert response.status_code == 422
    assert [*response.json()["errors"]] == ["article"]


def test_deep_nesting_is_a_client_error(api: Api, alice: User) -> None:
    response = api(alice).post(PATH, b'{"article":' + b"[" * 100_000 + b"]" * 100_000 + b"}")

    assert response.status_code == 400
    assert response.json() == {"errors": {"body": ["is not valid JSON"]}}


def test_it_refuses_a_body_over_2_5_mebibytes(api: Api, alice: User) -> None:
    body = json.dumps({"article": CONTENT | {"padding": ""}}).encode()
    padding = b" " * (2_621_440 - len(body))

    accepted = api(alice).post(PATH, body + padding)
    refused = api(alice).post(PATH, body + padding + b" ")

    assert accepted.status_code == 201
    assert refused.status_code == 413
    assert [*refused.json()] == ["errors"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_it_accepts_only_json(api: Api, alice: User, content_type: str) -> None:
    response = api(alice).post(
        PATH, json.dumps({"article": CONTENT}).encode(), content_type=content_type
    )

    assert response.status_code == 415
    assert [*response.json()] == ["errors"]


def test_it_accepts_a_bearer_token(api: Api, alice: User) -> None:
    token = api(alice).defaults["HTTP_AUTHORIZATION"].removeprefix("Token ")

    response = api(headers={"Authorization": f"Bearer {token}"}).post(PATH, {"article": CONTENT})

    assert response.status_code == 201


@pytest.mark.parametrize(
    "body", [json.dumps({"article": CONTENT}).encode(), b'{"article": {}}', b"{", b"[]", b""]
)
def test_it_checks_the_token_before_the_body(api: Api, db: None, body: bytes) -> None:
    response = api().post(PATH, body)

    assert response.status_code == 401
    assert response.json() == {"errors": {"token": ["is missing"]}}
    assert not Article.objects.exists()


def test_a_refused_article_leaves_no_rows(api: Api, alice: User) -> None:
    write_article(alice, tags=("old",))

    response = api(alice).post(PATH, {"article": CONTENT | {"tagList": ["new", "x" * 65]}})

    assert response.status_code == 422
    assert api().get(PATH).json()["articlesCount"] == 1
    assert api().get("/api/tags").json() == {"tags": ["old"]}


@pytest.mark.django_db
def test_an_article_is_rolled_back_when_its_tags_fail(
    api: Api, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(type(Tag.objects), "named", fail)
    body = {"article": {"title": "T", "description": "D", "body": "B", "tagList": ["one"]}}

    response = api(alice, raise_request_exception=False).post("/api/articles", body)

    assert response.status_code == 500
    assert not Article.objects.exists()
