"""The groups of the migration, for tests: a test with real transactions truncates their table."""

from importlib import import_module
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection

migration: Any = import_module("articles.migrations.0018_groups")


class Editor:
    connection = connection


def add_groups() -> None:
    migration.add_groups(apps, Editor)


def remove_groups() -> None:
    migration.remove_groups(apps, Editor)


def group(name: str) -> Group:
    """The group "moderator" or "editor"."""
    add_groups()
    return Group.objects.get(name=name)
