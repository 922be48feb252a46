"""The form in which an article is written and edited."""

from collections.abc import Callable
from typing import Any, Self

from django.http import QueryDict

from articles.models import Article
from articles.serializers import ArticleSerializer
from users.form_texts import digest, line_as_shown, lines_as_shown
from users.models import User
from website.forms import Form

AS_SHOWN = {"title": line_as_shown, "description": line_as_shown, "body": lines_as_shown}
# Tags in one input. The serializer refuses 30 and more.
MOST_PARTS = 1_000


class ArticleForm(Form):
    """Writes only the fields that the author has changed, even if the article was changed in
    another window after the form was shown."""

    def __init__(self, values: dict[str, Any], shown: dict[str, str]) -> None:
        """`shown` has the digests of the values that the form showed first, by field."""
        super().__init__(values, "article")
        self.shown = shown

    @classmethod
    def of(cls, article: Article) -> Self:
        values: dict[str, Any] = {
            "title": article.title,
            # An input has one line.
            "description": " ".join(article.description.splitlines()),
            "body": lines_as_shown(article.body),
            "tagList": article.tag_names,
        }
        return cls(values, {name: _digest(value) for name, value in values.items()})

    @classmethod
    def sent(cls, data: QueryDict) -> Self:
        values: dict[str, Any] = {
            name: as_shown(data.get(name, ""))
            for name, as_shown in AS_SHOWN.items()
            if name in data
        }
        if "tagList" in data or "newTags" in data:
            values["tagList"] = _tags(data)
        fields = {name: data.get(f"shown_{name}") for name in values}
        return cls(values, {name: shown for name, shown in fields.items() if shown})

    def publish(self, author: User, count: Callable[[], None]) -> Article | None:
        """The new article, or None if a value is at fault."""

        def write() -> Article:
            count()
            return _saved(ArticleSerializer(data=self.values), author=author)

        return self.save(write)

    def update(self, article: Article, count: Callable[[], None]) -> Article | None:
        """The changed article, or None if a value is at fault."""
        changed = {
            name: value
            for name, value in self.values.items()
            if self.shown.get(name) != _digest(value)
        }

        def write() -> Article:
            count()
            return _saved(ArticleSerializer(article, data=changed, partial=True))

        return self.save(write)


def _saved(serializer: ArticleSerializer, **values: Any) -> Article:
    serializer.is_valid(raise_exception=True)
    return serializer.save(**values)


def _tags(data: QueryDict) -> list[str]:
    """The tags that the form showed and that were kept, and the new ones, which are separated by
    commas. A tag that was shown may contain a comma."""
    new = data.get("newTags", "").split(",", MOST_PARTS)
    names = [*data.getlist("tagList"), *new]
    return [*dict.fromkeys(name for name in map(str.strip, names) if name)]


def _digest(value: str | list[str]) -> str:
    # The order of tags has no meaning, and they contain no line breaks.
    return digest(value if isinstance(value, str) else "\n".join(sorted(value)))
