"""What is written, tagged, liked and said.

Everything goes with the person it belongs to, and what hangs on an article goes with the
article: the database deletes it (`DB_CASCADE`), so that nothing of it can be left behind,
however many write at that moment.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Self

from django.contrib.postgres.expressions import ArraySubquery
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Coalesce, Collate, Length
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.text import slugify

from database.errors import violated_constraint
from profiles.models import Follow, Viewer, following
from users.models import User

SLUG_BASE_LENGTH = 200
SLUG_ENDING_LENGTH = 8
# Without vowels no ending spells a word, without 0, 1 and l none is misread.
SLUG_ENDING_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"
BODY_LENGTH = 200_000
COMMENT_LENGTH = 10_000


class TagQuerySet(models.QuerySet["Tag"]):
    def carried(self) -> Self:
        """The tags that an article carries, most used first."""
        return (
            self.annotate(articles_count=models.Count("taggings"))
            .filter(articles_count__gt=0)
            .order_by("-articles_count", Collate("name", "C"))
        )

    def named(self, names: Iterable[str]) -> "list[Tag]":
        """The tags with these names, made where they don't exist yet.

        In the order of their names: two writers who make the same tags then wait for
        each other in turn, and not in a circle.
        """
        tags = [Tag(name=name) for name in sorted(set(names))]
        self.bulk_create(tags, ignore_conflicts=True)
        return list(self.filter(name__in=[tag.name for tag in tags]))


class Tag(models.Model):
    name = models.CharField(max_length=64)

    objects = TagQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], name="tag_once"),
            models.CheckConstraint(condition=~models.Q(name=""), name="tag_given"),
        ]

    def __str__(self) -> str:
        return self.name


class AuthoredQuerySet[Row: "Authored"](models.QuerySet[Row]):
    def seen_by(self, viewer: Viewer) -> Self:
        """The rows with their author, and whether the viewer follows the author; any
        look-up beyond that is an error, and not a slow page."""
        return (
            self.select_related("author")
            .annotate(following=following(viewer, "author"))
            .fetch_mode(models.FETCH_RAISE)
        )

    def newest_first(self) -> Self:
        # Many rows can bear one instant: the id settles their order.
        return self.order_by("-created_at", "-id")


class Authored(models.Model):
    """What somebody wrote, and when."""

    author = models.ForeignKey(User, models.DB_CASCADE, related_name="%(class)ss", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(editable=False)

    following: bool

    class Meta:
        abstract = True

    def save(self, **options: Any) -> None:
        """Every save moves `updated_at`; the first one makes it equal to `created_at`."""
        self.updated_at = self.created_at if self._state.adding else timezone.now()
        if (fields := options.get("update_fields")) is not None:
            options["update_fields"] = {*fields, "updated_at"}
        super().save(**options)

    @property
    def profile(self) -> User:
        """The author as a profile, where the row was fetched by `seen_by()`."""
        self.author.following = self.following  # type: ignore[attr-defined]  # set for the serializer
        return self.author


class ArticleQuerySet(AuthoredQuerySet["Article"]):
    def seen_by(self, viewer: Viewer) -> Self:
        """Articles with all that the API shows of them, in one statement."""
        return (
            super()
            .seen_by(viewer)
            .annotate(
                favorited=favorited(viewer),
                favorites_count=favorites_count(),
                tag_names=ArraySubquery(
                    Tagging.objects.filter(article=models.OuterRef("pk"))
                    .order_by(Collate("tag__name", "C"))
                    .values("tag__name")
                ),
            )
        )

    def feed_of(self, reader: User) -> Self:
        return self.filter(author__in=Follow.objects.by(reader).values("followed"))

    def matching(
        self, *, tag: str | None = None, author: str | None = None, favorited: str | None = None
    ) -> Self:
        """The articles that pass every filter given; a name that nobody has fits nothing."""
        articles = self
        if tag:
            articles = articles.filter(
                pk__in=Tagging.objects.filter(tag__name=tag).values("article")
            )
        if author:
            articles = articles.filter(author__username=author)
        if favorited:
            liked = Favorite.objects.filter(user__username=favorited)
            articles = articles.filter(pk__in=liked.values("article"))
        return articles


class Article(Authored):
    slug = models.SlugField(max_length=255, db_index=False, editable=False)
    title = models.CharField(max_length=255)
    description = models.CharField(max_length=1000)
    body = models.TextField(max_length=BODY_LENGTH)
    tags = models.ManyToManyField(Tag, through="Tagging", related_name="articles")

    objects = ArticleQuerySet.as_manager()

    favorited: bool
    favorites_count: int
    tag_names: list[str]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slug"], name="slug_once"),
            models.CheckConstraint(
                condition=~models.Q(slug__in=["", "feed"]), name="slug_not_feed"
            ),
            models.CheckConstraint(condition=~models.Q(title=""), name="title_given"),
            models.CheckConstraint(condition=~models.Q(description=""), name="description_given"),
            models.CheckConstraint(condition=~models.Q(body=""), name="body_given"),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("body"), BODY_LENGTH),
                name="body_length",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="newest_articles"),
            models.Index(fields=["author", "-created_at", "-id"], name="newest_articles_of_author"),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, **options: Any) -> None:
        """A new title gets a new slug; no two articles get the same one, even when they
        are written at the same moment: the constraint decides, and the loser tries again.
        """
        fields = options.get("update_fields")
        if (fields is not None and "title" not in fields) or not self._has_new_title():
            super().save(**options)
            return
        if fields is not None:
            options["update_fields"] = {*fields, "slug"}
        for slug in slugs_for(self.title, except_for=self.slug):
            self.slug = slug
            try:
                with transaction.atomic():
                    super().save(**options)
            except IntegrityError as error:
                if violated_constraint(error) != "slug_once":
                    raise
            else:
                return

    def _has_new_title(self) -> bool:
        same = Article.objects.filter(pk=self.pk, title=self.title)
        return self._state.adding or not same.exists()


def slugs_for(title: str, except_for: str = "") -> Iterator[str]:
    """Slugs to try for a title, without end: its own words, then with a random ending.

    A title without a Latin letter or a digit has no words for a URL. `feed` is a route.
    """
    words = slugify(title)[:SLUG_BASE_LENGTH].strip("-_")
    if words not in ("", "feed", except_for):
        yield words
    while True:
        ending = get_random_string(SLUG_ENDING_LENGTH, SLUG_ENDING_ALPHABET)
        yield f"{words or 'article'}-{ending}"


class Tagging(models.Model):
    """That an article carries a tag."""

    article = models.ForeignKey(Article, models.DB_CASCADE, related_name="taggings", db_index=False)
    tag = models.ForeignKey(Tag, models.DB_CASCADE, related_name="taggings", db_index=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["article", "tag"], name="tagging_once"),
        ]
        indexes = [models.Index(fields=["tag", "article"], name="articles_of_tag")]

    def __str__(self) -> str:
        return f"article {self.article_id} carries tag {self.tag_id}"


class FavoriteQuerySet(models.QuerySet["Favorite"]):
    def by(self, viewer: Viewer) -> Self:
        return self.filter(user=viewer.pk)


class Favorite(models.Model):
    """That somebody likes an article; authors may like their own."""

    user = models.ForeignKey(User, models.DB_CASCADE, related_name="favorites", db_index=False)
    article = models.ForeignKey(
        Article, models.DB_CASCADE, related_name="favorites", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = FavoriteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "article"], name="favorite_once"),
        ]
        indexes = [models.Index(fields=["article"], name="favorites_of_article")]

    def __str__(self) -> str:
        return f"user {self.user_id} likes article {self.article_id}"


def favorited(viewer: Viewer) -> models.Exists | models.Value:
    """Whether the viewer likes the article of the outer query."""
    if viewer.pk is None:
        return models.Value(False)
    return models.Exists(Favorite.objects.by(viewer).filter(article=models.OuterRef("pk")))


def favorites_count() -> Coalesce:
    """How many like the article of the outer query, in a subquery of its own: counting
    over a join would count what the other joins and filters have left."""
    likes = Favorite.objects.filter(article=models.OuterRef("pk")).order_by()
    counted = likes.values("article").annotate(count=models.Count("*")).values("count")
    return Coalesce(models.Subquery(counted), 0)


class Comment(Authored):
    article = models.ForeignKey(Article, models.DB_CASCADE, related_name="comments", db_index=False)
    body = models.TextField(max_length=COMMENT_LENGTH)

    objects = AuthoredQuerySet["Comment"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(body=""), name="comment_given"),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("body"), COMMENT_LENGTH), name="comment_length"
            ),
        ]
        indexes = [
            models.Index(fields=["article", "-created_at", "-id"], name="newest_comments"),
            # For the end of a user alone.
            models.Index(fields=["author"], name="comments_of_author"),
        ]

    def __str__(self) -> str:
        return f"{self.author_id} on article {self.article_id}"
