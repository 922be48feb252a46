"""The bodies of requests and answers, with their envelopes and examples."""

from dataclasses import dataclass
from typing import Any

from rest_framework.serializers import Serializer

from articles.serializers import ArticleSerializer, CommentSerializer
from config.openapi import schemas
from config.openapi.schemas import Json, all_required, array_of, ref
from users.serializers import LoginSerializer, RegistrationSerializer, UserSerializer


@dataclass(frozen=True)
class Answer:
    """The body of a success: no body if `schema` is None."""

    description: str
    schema: Json | None = None
    example: Json | None = None


@dataclass(frozen=True)
class Body:
    """The object inside the envelope of a request body. `name` is that of its schema."""

    name: str
    serializer: type[Serializer[Any]]
    example: Json
    partial: bool = False

    def fields(self) -> list[str]:
        return [name for name, field in self.serializer().fields.items() if not field.read_only]


def _answer(description: str, **envelope: tuple[Json, Any]) -> Answer:
    """An answer with these keys, each with its schema and an example."""
    schema = all_required({name: schema for name, (schema, _) in envelope.items()})
    return Answer(description, schema, {name: example for name, (_, example) in envelope.items()})


USER = _answer("The user, with a token.", user=(ref("User"), schemas.USER))
PROFILE = _answer("The profile.", profile=(ref("Profile"), schemas.AUTHOR))
ARTICLE = _answer("The article.", article=(ref("Article"), schemas.ARTICLE))
ARTICLES = _answer(
    "A page of articles, and the number of articles on all pages.",
    articles=(array_of("ArticleInList"), [schemas.ARTICLE_IN_LIST]),
    articlesCount=(schemas.COUNT, 1),
)
COMMENT = _answer("The comment.", comment=(ref("Comment"), schemas.COMMENT))
COMMENTS = _answer("A page of comments.", comments=(array_of("Comment"), [schemas.COMMENT]))
TAGS = _answer("A page of tags.", tags=(schemas.TAGS, ["dragons", "training"]))
DELETED = Answer("Deleted.")

EMAIL, PASSWORD = "alice@example.com", "correct horse"
_ARTICLE_TEXTS = {name: schemas.ARTICLE[name] for name in ("title", "description", "body")}
REGISTRATION = Body(
    "NewUser",
    RegistrationSerializer,
    {"username": "alice", "email": EMAIL, "password": PASSWORD},
)
LOGIN = Body("LoginUser", LoginSerializer, {"email": EMAIL, "password": PASSWORD})
USER_CHANGES = Body("UpdateUser", UserSerializer, schemas.ALICE, partial=True)
NEW_ARTICLE = Body(
    "NewArticle", ArticleSerializer, _ARTICLE_TEXTS | {"tagList": ["dragons", "training"]}
)
ARTICLE_CHANGES = Body(
    "UpdateArticle", ArticleSerializer, {"title": "How to feed your dragon"}, partial=True
)
NEW_COMMENT = Body("NewComment", CommentSerializer, {"body": schemas.COMMENT["body"]})
