"""The static files of the site and of the admin, collected or not."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import Client, override_settings

from config.static import CHECK
from tests.builders import make_user

PRODUCTION = {
    "DEBUG": False,
    "WHITENOISE_AUTOREFRESH": False,
    "WHITENOISE_USE_FINDERS": False,
    "STORAGES": settings.STORAGES
    | {"staticfiles": {"BACKEND": "config.static.StaticFilesStorage"}},
}
PAGES = ["/", "/admin/", "/admin/articles/article/", "/admin/users/user/add/"]
STYLE_SHEET = re.compile(r'href="(/static/(?:unfold/css/styles|website/site)[^"]*)"')
LOG_INS = pytest.mark.parametrize("path", ["/login", "/admin/login/"])


def warnings() -> list[str]:
    return [message.msg for message in run_checks(tags=[CHECK], include_deployment_checks=True)]


@LOG_INS
@pytest.mark.django_db
def test_the_pages_work_without_their_style_sheet(tmp_path: Path, path: str) -> None:
    with override_settings(**PRODUCTION, STATIC_ROOT=str(tmp_path)):
        client = Client()
        client.force_login(make_user("editor", is_staff=True, is_superuser=True))
        pages = [client.get(path) for path in PAGES]
        log_in = Client().get(path)
        (address,) = STYLE_SHEET.findall(log_in.content.decode())

        assert [page.status_code for page in pages] == [200] * len(PAGES)
        assert client.get(address).status_code == 404
        assert warnings() == [
            "The static files are not collected, so the site and the admin have no style sheet."
        ]


@LOG_INS
@pytest.mark.django_db
def test_the_pages_have_their_style_sheet_after_collectstatic(tmp_path: Path, path: str) -> None:
    with override_settings(**PRODUCTION, STATIC_ROOT=str(tmp_path)):
        call_command("collectstatic", interactive=False, verbosity=0)
        client = Client()
        (address,) = STYLE_SHEET.findall(client.get(path).content.decode())
        response = client.get(address)
        response.close()

        assert response.status_code == 200
        assert "immutable" in response.headers["Cache-Control"]
        assert warnings() == []


def test_collectstatic_is_not_needed_with_debug(tmp_path: Path) -> None:
    with override_settings(DEBUG=True, STATIC_ROOT=str(tmp_path)):
        assert warnings() == []


@pytest.mark.parametrize("configuration", [{}, PRODUCTION])
def test_browsers_get_an_icon(configuration: dict[str, Any], tmp_path: Path) -> None:
    with override_settings(**configuration, STATIC_ROOT=str(tmp_path)):
        response = Client().get("/favicon.ico")

    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/x-icon")
    assert response.getvalue().startswith(b"\0\0\1\0")
