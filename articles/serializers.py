"""Articles and comments as the API takes them, and what lists can be asked."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.http import QueryDict
from rest_framework import serializers

from articles.models import BODY_LENGTH, COMMENT_LENGTH, Article, Comment, Tag
from articles.queries import COMMENTS_LIMIT, DEFAULT_LIMIT, TAGS_LIMIT
from articles.texts import one_line, visible
from users.serializer_fields import LongText, Name, Text

LARGEST_NUMBER = 2**63 - 1
LARGEST_LIMIT = 100
MOST_TAGS = 30


class TagList(serializers.ListField):
    """Names of tags; `Tag.objects.named()` takes each once, and whoever shows them sorts them."""

    child = Text(max_length=64, validators=[one_line])
    default_error_messages = {
        "max_length": "has too many tags (maximum is {max_length})",
        "not_null": "can't be null",
    }

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        # With a code of its own: elsewhere a null is as good as nothing, here [] is.
        if data is None:
            self.fail("not_null")
        return super().validate_empty_values(data)

    def to_internal_value(self, data: Any) -> list[str]:
        # Before the base class looks at each: a million tags fit in a body, and take it
        # half a minute.
        if isinstance(data, list) and len(data) > MOST_TAGS:
            self.fail("max_length", max_length=MOST_TAGS)
        return super().to_internal_value(data)


class ArticleSerializer(serializers.Serializer[Article]):
    title = Text(max_length=255, validators=[one_line])
    description = LongText(max_length=1000)
    body = LongText(max_length=BODY_LENGTH)
    tagList = TagList(source="tag_names", required=False)

    def create(self, validated_data: dict[str, Any]) -> Article:
        tag_names = validated_data.pop("tag_names", [])
        with transaction.atomic():
            article = Article.objects.create(**validated_data)
            article.tags.set(Tag.objects.named(tag_names))
        return article

    def update(self, instance: Article, validated_data: dict[str, Any]) -> Article:
        if not validated_data:
            return instance
        tag_names = validated_data.pop("tag_names", None)
        for name, value in validated_data.items():
            setattr(instance, name, value)
        # Only what was sent is written: of two requests at once, neither undoes the other.
        # The article comes first, for its row lock: two sets of tags can't mix.
        with transaction.atomic():
            instance.save(update_fields=validated_data.keys())
            if tag_names is not None:
                instance.tags.set(Tag.objects.named(tag_names))
        return instance


class CommentSerializer(serializers.Serializer[Comment]):
    body = LongText(max_length=COMMENT_LENGTH, validators=[visible])

    def create(self, validated_data: dict[str, Any]) -> Comment:
        return Comment.objects.create(**validated_data)


class WholeNumber(serializers.IntegerField):
    """A query parameter of plain digits that fits PostgreSQL's bigint."""

    default_error_messages = {
        "min_value": "must be {min_value} or more",
        "max_value": "is too large",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(max_value=LARGEST_NUMBER, required=False, **options)

    def to_internal_value(self, data: Any) -> int:
        # int() would take "1_000", " 7 " and the digits of other scripts too.
        if not re.fullmatch(r"-?[0-9]{1,1000}", data):
            self.fail("invalid")
        return int(data)


class Limit(WholeNumber):
    """The size of a page; a number over the largest size counts as the largest."""

    def __init__(self, *, default: int, largest: int) -> None:
        super().__init__(min_value=1, default=default)
        self.largest = largest

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return min(super().run_validation(data), self.largest)


class ArticleListQuery(serializers.Serializer[Any]):
    """`?tag=&author=&favorited=&limit=&offset=`, as `articles.queries` calls them. Filters are
    exact, white space included."""

    tag = LongText(required=False, allow_blank=True)
    author = Name(trim_whitespace=False, required=False, allow_blank=True)
    favorited = Name(source="favorited_by", trim_whitespace=False, required=False, allow_blank=True)
    limit = Limit(default=DEFAULT_LIMIT, largest=LARGEST_LIMIT)
    offset = WholeNumber(min_value=0, default=0)


class CommentListQuery(serializers.Serializer[Any]):
    limit = Limit(default=COMMENTS_LIMIT, largest=COMMENTS_LIMIT)
    offset = WholeNumber(min_value=0, default=0)


class TagListQuery(serializers.Serializer[Any]):
    limit = Limit(default=TAGS_LIMIT, largest=TAGS_LIMIT)
    offset = WholeNumber(min_value=0, default=0)


# Made once: a serializer copies its fields when it is made.
article_list, comment_list, tag_list = ArticleListQuery(), CommentListQuery(), TagListQuery()
# Characters. Longer texts are not remembered: a client that invents them must not fill the memory.
_REMEMBERED = 200


def list_query(query: serializers.Serializer[Any], query_string: str) -> dict[str, Any]:
    """The parameters of a list, from the text after the "?" as WSGI has it, in Latin-1. An empty
    parameter counts as absent. Raises ValidationError.

    Most lists are asked for by a few texts; to validate one takes 60 µs.
    """
    read = _read if len(query_string) <= _REMEMBERED else _read.__wrapped__
    return dict(read(query, query_string))


@lru_cache(maxsize=1_000)
def _read(query: serializers.Serializer[Any], query_string: str) -> Mapping[str, Any]:
    parameters = QueryDict(query_string.encode("latin-1"))
    given = {name: value for name, value in parameters.items() if value}
    found: dict[str, Any] = query.run_validation(given)
    return found
