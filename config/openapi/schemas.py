"""The objects in answers. The functions in the `representations` modules and
`users/serializers.py` build them."""

from typing import Any

type Json = dict[str, Any]

# The example objects: Alice writes about dragons.
TIME = "2016-02-18T03:22:56.637Z"
ALICE: Json = {
    "username": "alice",
    "bio": "I train dragons.",
    "image": "https://example.com/alice.png",
}
AUTHOR: Json = ALICE | {"following": True}
USER: Json = {
    "email": "alice@example.com",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    **ALICE,
}
ARTICLE_IN_LIST: Json = {
    "slug": "how-to-train-your-dragon",
    "title": "How to train your dragon",
    "description": "Ever wonder how?",
    "tagList": ["dragons", "training"],
    "createdAt": TIME,
    "updatedAt": TIME,
    "favorited": False,
    "favoritesCount": 2,
    "author": AUTHOR,
}
ARTICLE: Json = ARTICLE_IN_LIST | {"body": "It takes patience, and fish."}
COMMENT: Json = {
    "id": 1,
    "createdAt": TIME,
    "updatedAt": TIME,
    "body": "Thank you, that was helpful.",
    "author": AUTHOR,
}

TEXT: Json = {"type": "string"}
NAME: Json = {"type": "string", "minLength": 1}
TEXT_OR_NULL: Json = {"type": ["string", "null"]}
FLAG: Json = {"type": "boolean"}
COUNT: Json = {"type": "integer", "minimum": 0}
TIMESTAMP: Json = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
    "description": "In UTC, always with milliseconds.",
}
TAGS: Json = {"type": "array", "items": NAME, "uniqueItems": True}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def all_required(properties: dict[str, Json], **others: Any) -> Json:
    """An object that always has all of its keys."""
    return {"type": "object", "required": [*properties], "properties": properties, **others}


def array_of(name: str) -> Json:
    return {"type": "array", "items": ref(name)}


_PERSON = {"username": NAME, "bio": TEXT_OR_NULL, "image": TEXT_OR_NULL}
_ARTICLE_IN_LIST = {
    "slug": NAME,
    "title": NAME,
    "description": TEXT,
    "tagList": TAGS | {"description": "Sorted by code point."},
    "createdAt": TIMESTAMP,
    "updatedAt": TIMESTAMP,
    "favorited": FLAG | {"description": "Whether the user of the token likes the article."},
    "favoritesCount": COUNT,
    "author": ref("Profile"),
}

SCHEMAS: dict[str, Json] = {
    "User": all_required(
        {"email": NAME, "token": NAME, **_PERSON},
        description="The user of the token.",
        examples=[USER],
    ),
    "Profile": all_required(
        _PERSON
        | {"following": FLAG | {"description": "Whether the user of the token follows this user."}},
        description="A user, as others see them.",
        examples=[AUTHOR],
    ),
    "Article": all_required(_ARTICLE_IN_LIST | {"body": TEXT}, examples=[ARTICLE]),
    "ArticleInList": all_required(
        _ARTICLE_IN_LIST,
        description="An article without its body. The key is absent, not null.",
        examples=[ARTICLE_IN_LIST],
    ),
    "Comment": all_required(
        {
            "id": {"type": "integer", "format": "int64", "minimum": 1},
            "createdAt": TIMESTAMP,
            "updatedAt": TIMESTAMP,
            "body": TEXT,
            "author": ref("Profile"),
        },
        examples=[COMMENT],
    ),
    "Messages": {
        "type": "array",
        "items": NAME,
        "minItems": 1,
        "description": "What is wrong, in English.",
    },
}
