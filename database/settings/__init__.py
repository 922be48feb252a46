"""Read an entry of Django's `DATABASES` from environment variables."""

from database.settings.environment import Environment
from database.settings.limits import PREPARED_MAX, Limits
from database.settings.project import project_setting
from database.settings.tls import LOCAL_HOSTS
from database.settings.url import DJANGO_NAMES, database

__all__ = [
    "DJANGO_NAMES",
    "LOCAL_HOSTS",
    "PREPARED_MAX",
    "Environment",
    "Limits",
    "database",
    "project_setting",
]
