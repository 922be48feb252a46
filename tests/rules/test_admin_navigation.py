"""The links in the admin's sidebar, and the theme."""

import re
from itertools import chain

from django.conf import settings
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import NoReverseMatch, reverse

from config.admin.navigation import GROUPS, LIST
from tests.builders import PASSWORD, make_user
from users.models import User


def links(client: Client) -> list[str]:
    groups = client.get("/admin/").context["sidebar_navigation"]
    return [item["link"] for group in groups for item in group["items"]]


def test_a_superuser_sees_every_page_that_exists(site: Client) -> None:
    expected = []
    for _, _, url_name in chain.from_iterable(GROUPS.values()):
        try:
            expected.append(reverse(url_name))
        except NoReverseMatch:
            continue

    assert links(site) == expected
    assert len(expected) >= 8


def test_every_list_of_the_admin_has_a_link(site: Client) -> None:
    pages = {url_name for pages in GROUPS.values() for _, _, url_name in pages}
    models = site.get("/admin/").context["available_apps"]

    for app in models:
        for model in app["models"]:
            name = f"admin:{app['app_label']}_{model['object_name'].lower()}{LIST}"
            assert name in pages


def test_an_editor_sees_only_permitted_lists(db: None) -> None:
    moderator = make_user("moderator", is_staff=True)
    moderator.user_permissions.add(Permission.objects.get(codename="view_comment"))
    client = Client()
    client.force_login(moderator)

    shown = links(client)

    assert reverse("admin:articles_comment_changelist") in shown
    assert not {link for link in shown if link.startswith("/admin/users/")}
    assert reverse("admin:articles_article_changelist") not in shown


def test_a_login_without_a_destination_leads_to_the_start_page(editor: User) -> None:
    credentials = {"username": editor.email, "password": PASSWORD}

    response = Client().post(reverse("admin:login"), credentials)

    assert response["Location"] == reverse("admin:index")


def test_only_the_page_itself_is_active(site: Client) -> None:
    groups = site.get("/admin/articles/tag/").context["sidebar_navigation"]

    active = [item["title"] for group in groups for item in group["items"] if item["active"]]
    assert active == ["Tags"]


def contrast(first: str, second: str) -> float:
    """The contrast of two colors such as "#0e5c3d" (WCAG 2.1, "relative luminance")."""

    def luminance(color: str) -> float:
        parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_colors_have_enough_contrast() -> None:
    colors = settings.UNFOLD["COLORS"]["primary"]

    # White, and Unfold's base 100, 900 and 800.
    assert contrast(colors["600"], "#ffffff") >= 4.5
    assert contrast(colors["600"], "#f3f4f6") >= 4.5
    assert contrast(colors["500"], "#101828") >= 4.5
    assert contrast(colors["500"], "#1e2939") >= 4.5


def test_the_sidebar_names_the_editor_and_their_account(site: Client) -> None:
    page = site.get("/admin/").content.decode()

    assert re.search(r">\s*editor\s*<", page)
    assert re.search(r">\s*editor@example\.com\s*<", page)
