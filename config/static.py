"""The static files of the pages and the admin, which `collectstatic` collects."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import apps
from django.core import checks
from whitenoise import storage  # type: ignore[import-untyped]  # it has no types

CHECK = "serve"  # a tag


class StaticFilesStorage(storage.CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # Any
    """Gives a file that was not collected a URL that answers 404: a page without a style sheet is
    better than an error. Django's storage raises ValueError for such a file. With manifest_strict
    off it does too, because it opens the file to calculate its hash."""

    def stored_name(self, name: str) -> str:
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name


class StaticFilesConfig(apps.StaticFilesConfig):
    def ready(self) -> None:
        super().ready()
        # WhiteNoise warns in every worker. The check below warns once.
        warnings.filterwarnings("ignore", "No directory at: ")
        # Not with every command: collectstatic and migrate run before there are files.
        checks.register(are_collected, CHECK, deploy=True)


def are_collected(
    app_configs: Sequence[object] | None = None, **_: object
) -> list[checks.CheckMessage]:
    """A warning if pages have no style sheet. With DEBUG, the files of the apps are used."""
    if settings.DEBUG or Path(settings.STATIC_ROOT, "staticfiles.json").is_file():
        return []
    return [
        checks.Warning(
            "The static files are not collected, so the site and the admin have no style sheet.",
            hint="Run `manage.py collectstatic --noinput`, then start the server again.",
            id="config.W001",
        )
    ]
