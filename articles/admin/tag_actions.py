"""The action that merges tags, and the form that renames one."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextInputWidget

from articles.models import Tag
from articles.tag_merges import TagMergeError, merge_tags
from users.admin_base import ActionRefused, ChangeForm, ConfirmedAction, ReasonForm, counted
from users.audit import Action

IN_BACKGROUND = " A server moves the articles in the background, within minutes."


class MergeForm(ReasonForm):
    target = forms.CharField(
        label="Into the tag",
        max_length=Tag._meta.get_field("name").max_length,
        validators=Tag._meta.get_field("name").validators,
        widget=UnfoldAdminTextInputWidget,
        help_text="Its name. Capital letters matter. A tag that does not exist is created.",
    )
    field_order = ("target", "reason")


class Merge(ConfirmedAction):
    name = "merge"
    label = "Merge"
    explanation = (
        "All articles with these tags get the other tag instead, and these tags are deleted. This"
        " cannot be undone."
    )
    permission = "merge"
    icon = "merge"
    dangerous = True
    form_class = MergeForm

    def form(self, request: HttpRequest, rows: QuerySet[Any], data: Any) -> forms.Form:
        return MergeForm(data, initial={"target": request.GET.get("target", "")})

    def run(
        self, model_admin: Any, request: HttpRequest, rows: QuerySet[Any], form: forms.Form
    ) -> str:
        target, reason = form.cleaned_data["target"], form.cleaned_data["reason"]
        rows = rows.exclude(name=target)
        tags = list(rows)
        if not tags:
            raise ActionRefused(f"“{target}” is the same tag.")
        model_admin.log_rows(
            request, rows, Action.MERGE, reason=reason, details=f"Into “{target}”."
        )
        try:
            done = merge_tags(tags, target)
        except TagMergeError as error:
            raise ActionRefused(str(error)) from error
        text = f"Merged into “{target}”: {counted(model_admin.opts, len(tags))}."
        return text if done else text + IN_BACKGROUND


class TagForm(ChangeForm):
    def clean_name(self) -> str:
        """Offers to merge the tag if there is another of this name."""
        name: str = self.cleaned_data["name"]
        if self.is_new or not Tag.objects.filter(name=name).exclude(pk=self.instance.pk).exists():
            return name
        address = reverse("admin:articles_tag_action", args=[self.instance.pk, "merge"])
        link = format_html(
            'There is another tag of this name. <a class="text-link underline" href="{}?{}">Merge'
            " this tag into it</a>",
            address,
            urlencode({"target": name}),
        )
        raise ValidationError(link)
