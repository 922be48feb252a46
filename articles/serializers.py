"""Articles and comments as the API shows and takes them, and what lists can be asked."""

import re
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from rest_framework import serializers

from articles.models import BODY_LENGTH, COMMENT_LENGTH, Article, Comment, Tag
from profiles.serializers import ProfileSerializer
from users.fields import LongText, Text

LARGEST_NUMBER = 2**63 - 1
DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
MOST_TAGS = 30


class Timestamp(serializers.DateTimeField):
    """UTC, always with milliseconds: `isoformat()` alone leaves a zero fraction out."""

    def to_representation(self, value: datetime) -> str:
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")


class TagList(serializers.ListField):
    """Names of tags; `Tag.objects.named()` takes each once, and `seen_by()` sorts them."""

    child = Text(max_length=64)
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
    """An article as `seen_by()` has fetched it."""

    slug = serializers.CharField(read_only=True)
    title = Text(max_length=255)
    description = LongText(max_length=1000)
    body = LongText(max_length=BODY_LENGTH)
    tagList = TagList(source="tag_names", required=False)
    createdAt = Timestamp(source="created_at", read_only=True)
    updatedAt = Timestamp(source="updated_at", read_only=True)
    favorited = serializers.BooleanField(read_only=True)
    favoritesCount = serializers.IntegerField(source="favorites_count", read_only=True)
    author = ProfileSerializer(source="profile", read_only=True)

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


class ArticleInListSerializer(ArticleSerializer):
    body = None  # type: ignore[assignment]  # DRF's way to drop a field of the base class


class CommentSerializer(serializers.Serializer[Comment]):
    """A comment as `seen_by()` has fetched it."""

    id = serializers.IntegerField(read_only=True)
    createdAt = Timestamp(source="created_at", read_only=True)
    updatedAt = Timestamp(source="updated_at", read_only=True)
    body = LongText(max_length=COMMENT_LENGTH)
    author = ProfileSerializer(source="profile", read_only=True)

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


class ArticleListQuery(serializers.Serializer[Article]):
    """`?tag=&author=&favorited=&limit=&offset=`. An empty filter is no filter; the others
    are exact, white space included."""

    tag = LongText(required=False, allow_blank=True)
    author = LongText(required=False, allow_blank=True)
    favorited = LongText(required=False, allow_blank=True)
    limit = WholeNumber(min_value=1, default=DEFAULT_LIMIT)
    offset = WholeNumber(min_value=0, default=0)

    def validate_limit(self, limit: int) -> int:
        return min(limit, LARGEST_LIMIT)
