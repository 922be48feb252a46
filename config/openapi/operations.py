"""What drf-spectacular cannot find in the views: names, texts, answers and errors."""

from dataclasses import dataclass
from typing import Any

from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from articles.serializers import (
    ArticleListQuery,
    ArticleSerializer,
    CommentListQuery,
    CommentSerializer,
    TagListQuery,
)
from articles.views import ArticleViewSet, CommentViewSet, TagViewSet
from config.openapi import schemas
from config.openapi.errors import Error, coded
from config.openapi.schemas import Json, all_required, array_of, ref
from profiles.views import ProfileViewSet
from users.serializers import LoginSerializer, RegistrationSerializer, UserSerializer
from users.views import CurrentUserViewSet, RegistrationViewSet


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


@dataclass(frozen=True)
class Operation:
    id: str
    tag: str
    summary: str
    answer: Answer
    status: int = 200
    description: str = ""
    # A read that needs a token; all writes need one, except those that ignore tokens.
    needs_token: bool = False
    body: Body | None = None
    query: type[Serializer[Any]] | None = None
    # The keys of the errors 404 and 403.
    not_found: tuple[str, ...] = ()
    forbidden: str = ""
    # Examples of the error 422.
    invalid: tuple[Error, ...] = ()
    # Other errors: names in errors.RESPONSES, by status.
    shared: tuple[tuple[int, str], ...] = ()
    links: tuple[str, ...] = ()


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

_TOO_SHORT = Error("password", "is too short (minimum is 8 characters)")
_LARGE_LIMIT = "A `limit` above the largest is served as the largest."
_NEWEST_FIRST = f"Newest first. {_LARGE_LIMIT}"
_LIST_ERRORS = (
    Error("limit", "must be 1 or more"),
    Error("offset", "must be 0 or more"),
)
_ARTICLE_LIST_ERRORS = (
    *_LIST_ERRORS,
    coded("null_characters_not_allowed", "tag"),
    Error("before", str(ArticleListQuery.default_error_messages["with_offset"])),
)
_IDEMPOTENT = "Idempotent: to repeat it changes nothing."

OPERATIONS: dict[tuple[type[APIView], str], Operation] = {
    (RegistrationViewSet, "create"): Operation(
        id="CreateUser",
        tag="User and Authentication",
        summary="Register",
        answer=USER,
        status=201,
        body=REGISTRATION,
        invalid=(coded("blank", "username"), coded("invalid", "email"), _TOO_SHORT),
        shared=((409, "Taken"),),
        links=("GetProfileByUsername",),
    ),
    (RegistrationViewSet, "login"): Operation(
        id="Login",
        tag="User and Authentication",
        summary="Log in",
        answer=USER,
        body=LOGIN,
        invalid=(coded("blank", "email"), coded("blank", "password")),
        shared=((401, "WrongCredentials"),),
    ),
    (CurrentUserViewSet, "retrieve"): Operation(
        id="GetCurrentUser",
        tag="User and Authentication",
        summary="The user of the token",
        answer=USER,
        needs_token=True,
    ),
    (CurrentUserViewSet, "update"): Operation(
        id="UpdateCurrentUser",
        tag="User and Authentication",
        summary="Change the user of the token",
        description="Absent fields keep their values. An empty bio or image is stored as null. "
        "A new password ends all other tokens of the user.",
        answer=USER,
        body=USER_CHANGES,
        invalid=(coded("blank", "user"), coded("invalid", "email"), _TOO_SHORT),
        shared=((409, "Taken"),),
    ),
    (ProfileViewSet, "retrieve"): Operation(
        id="GetProfileByUsername",
        tag="Profile",
        summary="A profile",
        answer=PROFILE,
        not_found=("profile",),
    ),
    (ProfileViewSet, "follow"): Operation(
        id="FollowUserByUsername",
        tag="Profile",
        summary="Follow a user",
        description=_IDEMPOTENT,
        answer=PROFILE,
        not_found=("profile",),
        invalid=(coded("self_follow", "profile"),),
    ),
    (ProfileViewSet, "unfollow"): Operation(
        id="UnfollowUserByUsername",
        tag="Profile",
        summary="Unfollow a user",
        description=_IDEMPOTENT,
        answer=PROFILE,
        not_found=("profile",),
    ),
    (ArticleViewSet, "list"): Operation(
        id="GetArticles",
        tag="Articles",
        summary="All articles",
        description=f"{_NEWEST_FIRST} All given filters must match.",
        answer=ARTICLES,
        query=ArticleListQuery,
        invalid=_ARTICLE_LIST_ERRORS,
    ),
    (ArticleViewSet, "feed"): Operation(
        id="GetArticlesFeed",
        tag="Articles",
        summary="The articles of the authors whom the user follows",
        description=f"{_NEWEST_FIRST} All given filters must match.",
        answer=ARTICLES,
        needs_token=True,
        query=ArticleListQuery,
        invalid=_ARTICLE_LIST_ERRORS,
    ),
    (ArticleViewSet, "retrieve"): Operation(
        id="GetArticle",
        tag="Articles",
        summary="An article",
        answer=ARTICLE,
        not_found=("article",),
        shared=((301, "Moved"),),
    ),
    (ArticleViewSet, "create"): Operation(
        id="CreateArticle",
        tag="Articles",
        summary="Publish an article",
        answer=ARTICLE,
        status=201,
        body=NEW_ARTICLE,
        not_found=("article",),
        invalid=(coded("blank", "title"), Error("tagList", "can't be null")),
        links=(
            "GetArticle",
            "UpdateArticle",
            "CreateArticleFavorite",
            "CreateArticleComment",
            "DeleteArticle",
        ),
    ),
    (ArticleViewSet, "update"): Operation(
        id="UpdateArticle",
        tag="Articles",
        summary="Change an article",
        description="Only its author may. Absent fields keep their values. A new title gives the "
        "article a new slug; the old one redirects to it.",
        answer=ARTICLE,
        body=ARTICLE_CHANGES,
        not_found=("article",),
        forbidden="article",
        invalid=(coded("blank", "title"), coded("not_one_line", "tagList")),
    ),
    (ArticleViewSet, "destroy"): Operation(
        id="DeleteArticle",
        tag="Articles",
        summary="Delete an article",
        description="Only its author may. Its comments and favorites are deleted too.",
        answer=DELETED,
        status=204,
        not_found=("article",),
        forbidden="article",
    ),
    (ArticleViewSet, "favorite"): Operation(
        id="CreateArticleFavorite",
        tag="Favorites",
        summary="Like an article",
        description=_IDEMPOTENT,
        answer=ARTICLE,
        not_found=("article",),
    ),
    (ArticleViewSet, "unfavorite"): Operation(
        id="DeleteArticleFavorite",
        tag="Favorites",
        summary="Unlike an article",
        description=_IDEMPOTENT,
        answer=ARTICLE,
        not_found=("article",),
    ),
    (CommentViewSet, "list"): Operation(
        id="GetArticleComments",
        tag="Comments",
        summary="The comments of an article",
        description=_NEWEST_FIRST,
        answer=COMMENTS,
        query=CommentListQuery,
        not_found=("article",),
        invalid=_LIST_ERRORS,
        shared=((301, "Moved"),),
    ),
    (CommentViewSet, "create"): Operation(
        id="CreateArticleComment",
        tag="Comments",
        summary="Comment on an article",
        answer=COMMENT,
        status=201,
        body=NEW_COMMENT,
        not_found=("article", "comment"),
        invalid=(coded("blank", "body"),),
        links=("DeleteArticleComment",),
    ),
    (CommentViewSet, "destroy"): Operation(
        id="DeleteArticleComment",
        tag="Comments",
        summary="Delete a comment",
        description="Only its author may.",
        answer=DELETED,
        status=204,
        not_found=("article", "comment"),
        forbidden="comment",
    ),
    (TagViewSet, "list"): Operation(
        id="GetTags",
        tag="Tags",
        summary="The tags of all articles",
        description=f"Most used first. {_LARGE_LIMIT}",
        answer=TAGS,
        query=TagListQuery,
        invalid=_LIST_ERRORS,
    ),
}
