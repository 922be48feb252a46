"""Models of the same tables, without the methods of the project's models."""

# mypy: disable-error-code="attr-defined, no-any-return"
# The mypy plugin knows only the models of the project's settings.

from django.db import models


class User(models.Model):
    username = models.CharField(max_length=64)
    email = models.EmailField()
    bio = models.CharField(max_length=2000, null=True)  # noqa: DJ001 -- the table's
    image = models.CharField(max_length=4096, null=True)  # noqa: DJ001 -- the table's
    is_active = models.BooleanField(default=True)

    is_authenticated = True

    class Meta:
        managed = False
        db_table = "users_user"

    def __str__(self) -> str:
        return self.username


class Tag(models.Model):
    name = models.CharField(max_length=64)

    class Meta:
        managed = False
        db_table = "articles_tag"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    author = models.ForeignKey(User, models.CASCADE, related_name="articles")
    slug = models.SlugField(max_length=255)
    title = models.CharField(max_length=255)
    description = models.CharField(max_length=1000)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    tags = models.ManyToManyField(Tag, through="Tagging", related_name="articles")

    class Meta:
        managed = False
        db_table = "articles_article"

    def __str__(self) -> str:
        return self.title


class Tagging(models.Model):
    article = models.ForeignKey(Article, models.CASCADE)
    tag = models.ForeignKey(Tag, models.CASCADE)

    class Meta:
        managed = False
        db_table = "articles_tagging"

    def __str__(self) -> str:
        return f"{self.article_id} {self.tag_id}"


class Favorite(models.Model):
    user = models.ForeignKey(User, models.CASCADE, related_name="favorites")
    article = models.ForeignKey(Article, models.CASCADE, related_name="favorites")

    class Meta:
        managed = False
        db_table = "articles_favorite"

    def __str__(self) -> str:
        return f"{self.user_id} {self.article_id}"


class Follow(models.Model):
    follower = models.ForeignKey(User, models.CASCADE, related_name="follows")
    followed = models.ForeignKey(User, models.CASCADE, related_name="followers")

    class Meta:
        managed = False
        db_table = "profiles_follow"

    def __str__(self) -> str:
        return f"{self.follower_id} {self.followed_id}"
