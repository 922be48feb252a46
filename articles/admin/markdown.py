"""A preview of Markdown beside the field in which it is typed."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from articles.models import BODY_LENGTH
from users.admin_base import ModelAdmin, TextArea

# Characters of a stored text that the page itself renders, in some 20 ms. The script asks for the
# preview of a longer text.
MOST_IN_PAGE = 20_000


def rendered(text: str) -> SafeString:
    # Imported here: it needs 20 ms and 3 MB, and the API renders nothing.
    from articles.markdown import render

    return render(text)


class MarkdownArea(TextArea):
    """`static/articles/preview.js` updates the preview while the editor types."""

    template_name = "articles/admin/markdown_area.html"
    preview_url = ""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        text = (value or "")[:MOST_IN_PAGE]
        return context | {"preview": rendered(text), "preview_url": self.preview_url}


class MarkdownAdmin(ModelAdmin):
    """The field `body` is Markdown, and has a preview."""

    class Media:
        js = ("articles/preview.js",)

    def formfield_for_dbfield(
        self, db_field: Any, request: HttpRequest, **options: Any
    ) -> forms.Field | None:
        field = super().formfield_for_dbfield(db_field, request, **options)
        if field and db_field.name == "body":
            is_short = (db_field.max_length or 0) < BODY_LENGTH
            field.widget = MarkdownArea(attrs={"rows": 8 if is_short else 20})
            field.widget.preview_url = reverse(f"admin:{self._preview_name}")
        return field

    @property
    def _preview_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_preview"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview)
        return [path("preview/", view, name=self._preview_name), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """The HTML of the text in the request. Stores nothing."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_add_permission(request) or self.has_view_or_change_permission(request)):
            raise PermissionDenied
        text = request.POST.get("text", "")
        if len(text) > BODY_LENGTH:
            return HttpResponse("The text is too long.", status=413, content_type="text/plain")
        return HttpResponse(rendered(text))
