"""The links in the admin's sidebar."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from config.pool_page.access import PERMISSION

# By group: the title, the icon (a name of Material Symbols) and the URL name of each page.
GROUPS = {
    "": [("Start page", "home", "admin:index")],
    "Content": [
        ("Articles", "article", "admin:articles_article_changelist"),
        ("Comments", "chat", "admin:articles_comment_changelist"),
        ("Tags", "sell", "admin:articles_tag_changelist"),
        ("Favorites", "favorite", "admin:articles_favorite_changelist"),
    ],
    "People": [
        ("Users", "person", "admin:users_user_changelist"),
        ("Groups", "group", "admin:auth_group_changelist"),
        ("Follows", "person_add", "admin:profiles_follow_changelist"),
    ],
    "Operation": [
        ("Audit log", "history", "admin:users_auditentry_changelist"),
        ("Database", "database", "admin:database"),
        ("API documentation", "api", "docs"),
    ],
}
LIST = "_changelist"


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups with the pages that exist and that the editor may see."""
    visible = visible_lists(request)
    groups = []
    for title, pages in GROUPS.items():
        items = [
            {"title": name, "icon": icon, "link": link, "active": is_active(request, link)}
            for name, icon, url_name in pages
            if not url_name.endswith(LIST) or url_name in visible
            if url_name != "admin:database" or request.user.has_perm(PERMISSION)
            if (link := address(url_name))
        ]
        if items:
            groups.append({"title": title, "items": items})
    return groups


def visible_lists(request: HttpRequest) -> set[str]:
    """The URL names of the lists that the editor may see."""
    return {
        f"admin:{model._meta.app_label}_{model._meta.model_name}{LIST}"
        for model, model_admin in admin.site._registry.items()
        if model_admin.has_view_or_change_permission(request)
    }


def address(url_name: str) -> str:
    """The path of a page, or "" if there is no such page."""
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return ""


def is_active(request: HttpRequest, link: str) -> bool:
    if link == reverse("admin:index"):
        return request.path == link
    return request.path.startswith(link)
