from datetime import UTC, datetime

from rest_framework import serializers

from tests.benchmarks.baselines.drf.models import Article, Tag


class Timestamp(serializers.DateTimeField):
    """UTC, always with milliseconds."""

    def to_representation(self, value: datetime) -> str:
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")


class AuthorSerializer(serializers.ModelSerializer[Article]):
    """Reads the article, which has `following` from the query of the list."""

    username = serializers.CharField(source="author.username")
    bio = serializers.CharField(source="author.bio")
    image = serializers.CharField(source="author.image")
    following = serializers.BooleanField()

    class Meta:
        model = Article
        fields = ("username", "bio", "image", "following")


class ArticleSerializer(serializers.ModelSerializer[Article]):
    tagList = serializers.SlugRelatedField[Tag](
        source="tags", slug_field="name", many=True, read_only=True
    )
    createdAt = Timestamp(source="created_at")
    updatedAt = Timestamp(source="updated_at")
    favorited = serializers.BooleanField()
    favoritesCount = serializers.IntegerField(source="favorites_count")
    author = AuthorSerializer(source="*")

    class Meta:
        model = Article
        fields = (
            "slug",
            "title",
            "description",
            "tagList",
            "createdAt",
            "updatedAt",
            "favorited",
            "favoritesCount",
            "author",
        )
