"""What drf-spectacular cannot find in the views: names, texts, answers and errors."""

from dataclasses import dataclass
from typing import Any

from rest_framework.serializers import Field, Serializer
from rest_framework.views import APIView

from articles.serializers import (
    ArticleListQuery,
    CommentListQuery,
    TagList,
    TagListQuery,
    WholeNumber,
)
from articles.views import ArticleViewSet, CommentViewSet, TagViewSet
from config.openapi import bodies
from config.openapi.bodies import Answer, Body
from config.openapi.errors import Error, coded
from profiles.views import ProfileViewSet
from users.passwords import MIN_LENGTH
from users.serializer_fields import Password
from users.views import CurrentUserViewSet, RegistrationViewSet


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


def _worded(key: str, field: type[Field[Any, Any, Any, Any]], code: str, **values: int) -> Error:
    """An error whose text the class of the field has."""
    return Error(key, str(field.default_error_messages[code]).format(**values))


_TOO_SHORT = _worded("password", Password, "min_length", min_length=MIN_LENGTH)
_LARGE_LIMIT = "A `limit` above the largest is served as the largest."
_NEWEST_FIRST = f"Newest first. {_LARGE_LIMIT}"
_LIST_ERRORS = (
    _worded("limit", WholeNumber, "min_value", min_value=1),
    _worded("offset", WholeNumber, "min_value", min_value=0),
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
        answer=bodies.USER,
        status=201,
        body=bodies.REGISTRATION,
        invalid=(coded("blank", "username"), coded("invalid", "email"), _TOO_SHORT),
        shared=((409, "Taken"),),
        links=("GetProfileByUsername",),
    ),
    (RegistrationViewSet, "login"): Operation(
        id="Login",
        tag="User and Authentication",
        summary="Log in",
        answer=bodies.USER,
        body=bodies.LOGIN,
        invalid=(coded("blank", "email"), coded("blank", "password")),
        shared=((401, "WrongCredentials"),),
    ),
    (CurrentUserViewSet, "retrieve"): Operation(
        id="GetCurrentUser",
        tag="User and Authentication",
        summary="The user of the token",
        answer=bodies.USER,
        needs_token=True,
    ),
    (CurrentUserViewSet, "update"): Operation(
        id="UpdateCurrentUser",
        tag="User and Authentication",
        summary="Change the user of the token",
        description="Absent fields keep their values. An empty bio or image is stored as null. "
        "A new password ends all other tokens of the user.",
        answer=bodies.USER,
        body=bodies.USER_CHANGES,
        invalid=(coded("blank", "user"), coded("invalid", "email"), _TOO_SHORT),
        shared=((409, "Taken"),),
    ),
    (ProfileViewSet, "retrieve"): Operation(
        id="GetProfileByUsername",
        tag="Profile",
        summary="A profile",
        answer=bodies.PROFILE,
        not_found=("profile",),
    ),
    (ProfileViewSet, "follow"): Operation(
        id="FollowUserByUsername",
        tag="Profile",
        summary="Follow a user",
        description=_IDEMPOTENT,
        answer=bodies.PROFILE,
        not_found=("profile",),
        invalid=(coded("self_follow", "profile"),),
    ),
    (ProfileViewSet, "unfollow"): Operation(
        id="UnfollowUserByUsername",
        tag="Profile",
        summary="Unfollow a user",
        description=_IDEMPOTENT,
        answer=bodies.PROFILE,
        not_found=("profile",),
    ),
    (ArticleViewSet, "list"): Operation(
        id="GetArticles",
        tag="Articles",
        summary="All articles",
        description=f"{_NEWEST_FIRST} All given filters must match.",
        answer=bodies.ARTICLES,
        query=ArticleListQuery,
        invalid=_ARTICLE_LIST_ERRORS,
    ),
    (ArticleViewSet, "feed"): Operation(
        id="GetArticlesFeed",
        tag="Articles",
        summary="The articles of the authors whom the user follows",
        description=f"{_NEWEST_FIRST} All given filters must match.",
        answer=bodies.ARTICLES,
        needs_token=True,
        query=ArticleListQuery,
        invalid=_ARTICLE_LIST_ERRORS,
    ),
    (ArticleViewSet, "retrieve"): Operation(
        id="GetArticle",
        tag="Articles",
        summary="An article",
        answer=bodies.ARTICLE,
        not_found=("article",),
        shared=((301, "Moved"),),
    ),
    (ArticleViewSet, "create"): Operation(
        id="CreateArticle",
        tag="Articles",
        summary="Publish an article",
        answer=bodies.ARTICLE,
        status=201,
        body=bodies.NEW_ARTICLE,
        not_found=("article",),
        invalid=(coded("blank", "title"), _worded("tagList", TagList, "not_null")),
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
        answer=bodies.ARTICLE,
        body=bodies.ARTICLE_CHANGES,
        not_found=("article",),
        forbidden="article",
        invalid=(coded("blank", "title"), coded("not_one_line", "tagList")),
    ),
    (ArticleViewSet, "destroy"): Operation(
        id="DeleteArticle",
        tag="Articles",
        summary="Delete an article",
        description="Only its author may. Its comments and favorites are deleted too.",
        answer=bodies.DELETED,
        status=204,
        not_found=("article",),
        forbidden="article",
    ),
    (ArticleViewSet, "favorite"): Operation(
        id="CreateArticleFavorite",
        tag="Favorites",
        summary="Like an article",
        description=_IDEMPOTENT,
        answer=bodies.ARTICLE,
        not_found=("article",),
    ),
    (ArticleViewSet, "unfavorite"): Operation(
        id="DeleteArticleFavorite",
        tag="Favorites",
        summary="Unlike an article",
        description=_IDEMPOTENT,
        answer=bodies.ARTICLE,
        not_found=("article",),
    ),
    (CommentViewSet, "list"): Operation(
        id="GetArticleComments",
        tag="Comments",
        summary="The comments of an article",
        description=_NEWEST_FIRST,
        answer=bodies.COMMENTS,
        query=CommentListQuery,
        not_found=("article",),
        invalid=_LIST_ERRORS,
        shared=((301, "Moved"),),
    ),
    (CommentViewSet, "create"): Operation(
        id="CreateArticleComment",
        tag="Comments",
        summary="Comment on an article",
        answer=bodies.COMMENT,
        status=201,
        body=bodies.NEW_COMMENT,
        not_found=("article", "comment"),
        invalid=(coded("blank", "body"),),
        links=("DeleteArticleComment",),
    ),
    (CommentViewSet, "destroy"): Operation(
        id="DeleteArticleComment",
        tag="Comments",
        summary="Delete a comment",
        description="Only its author may.",
        answer=bodies.DELETED,
        status=204,
        not_found=("article", "comment"),
        forbidden="comment",
    ),
    (TagViewSet, "list"): Operation(
        id="GetTags",
        tag="Tags",
        summary="The tags of all articles",
        description=f"Most used first. {_LARGE_LIMIT}",
        answer=bodies.TAGS,
        query=TagListQuery,
        invalid=_LIST_ERRORS,
    ),
}
