"""The admin's static files, as `collectstatic` has gathered them, or without them."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import apps
from django.core import checks
from whitenoise import storage  # type: ignore[import-untyped]  # it has no types

CHECK = "serve"  # a tag


class StaticFilesStorage(storage.CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # Any
    """A page without its style sheet is better than none, so a file that was not collected gets an
    address that answers 404. Django's storage raises ValueError, even if manifest_strict is off:
    then it opens the file to calculate its hash."""

    def stored_name(self, name: str) -> str:
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name


class StaticFilesConfig(apps.StaticFilesConfig):
    def ready(self) -> None:
        super().ready()
        # WhiteNoise says so in every worker.
        warnings.filterwarnings("ignore", "No directory at: ")
        # Not with every command: collectstatic itself, and migrate, run before there are files.
        checks.register(are_collected, CHECK, deploy=True)


def are_collected(
    app_configs: Sequence[object] | None = None, **_: object
) -> list[checks.CheckMessage]:
    """A warning if the admin has no style sheet. While DEBUG is on, it comes from the app."""
    if settings.DEBUG or Path(settings.STATIC_ROOT, "staticfiles.json").is_file():
        return []
    return [
        checks.Warning(
            "The static files are not collected, so the admin has no style sheet.",
            hint="Run `manage.py collectstatic --noinput`, then start the server again.",
            id="config.W001",
        )
    ]
