"""The tags of an article, typed in place: one text field with one tag in each line."""

from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import lazy

from articles.entries import MOST_TAGS
from articles.models import Article, Tag, Tagging
from users.admin_base import ChangeForm, TextArea, TextField


def suggestions() -> str:
    """The address of tags that contain a term. Django answers only editors who may see
    the list of tags."""
    relation = {"app_label": "articles", "model_name": "tagging", "field_name": "tag"}
    return f"{reverse('admin:autocomplete')}?{urlencode(relation)}"


SUGGESTIONS = lazy(suggestions, str)()


class TagListField(TextField):
    """The names of tags, one in each line: a name may contain every other separator. Its initial
    value is a list of names. Returns a sorted list without duplicates.

    `static/articles/tags.js` shows the names as buttons.
    """

    widget = TextArea(attrs={"rows": 4, "data-tags": SUGGESTIONS})
    default_error_messages = {
        "too_many": "Use at most %(most)s tags.",
        "invalid": "“%(name)s”: %(problem)s",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, label="Tags", **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def as_shown(self, text: Any) -> str:
        return super().as_shown(self.prepare_value(text))

    def has_changed(self, initial: Any, data: str | None) -> bool:
        # A browser sends an empty field as "". A script without this field changes no tags.
        return data is not None and super().has_changed(initial, data)

    def clean(self, value: str | None) -> list[str]:
        text = super().clean(value) or ""
        names = sorted({line.strip() for line in text.split("\n") if line.strip()})
        if len(names) > MOST_TAGS:
            raise ValidationError(
                self.error_messages["too_many"], code="too_many", params={"most": MOST_TAGS}
            )
        return [self._valid(name) for name in names]

    def _valid(self, name: str) -> str:
        try:
            return str(Tag._meta.get_field("name").clean(name, None))
        except ValidationError as error:
            params = {"name": name[:MOST_TAGS], "problem": " ".join(error.messages)}
            raise ValidationError(
                self.error_messages["invalid"], code="invalid", params=params
            ) from error


class ArticleForm(ChangeForm):
    tag_list = TagListField(
        help_text=f"Press Enter after each tag. At most {MOST_TAGS}; capital letters matter. "
        "A tag that does not exist is created."
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk and "tag_list" in self.fields:
            self.initial["tag_list"] = self.instance.tag_names


def lock_new_tags(request: HttpRequest, article: Article) -> None:
    """Take the locks of a change of tags, if the form in the request changes them. Creates missing
    tags. Call it before the article is locked."""
    field = ArticleForm.base_fields["tag_list"]
    text = request.POST.get("tag_list")
    if not isinstance(field, TagListField) or not field.has_changed(article.tag_names, text):
        return
    try:
        names = field.clean(text)
    except ValidationError:  # the form will refuse it
        return
    article.lock_tags(Tag.objects.named(names))


def save_tags(article: Article, names: list[str], *, is_new: bool) -> None:
    tags = Tag.objects.named(names)
    if is_new:
        Tagging.objects.bulk_create(Tagging(article=article, tag=tag) for tag in tags)
    else:
        article.tags.set(tags)
