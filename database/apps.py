from django.apps import AppConfig
from django.core.checks import Tags, register

from database.backend import forks  # noqa: F401 -- from here on, a fork is safe
from database.serving.checks import prepared_queries


class DatabaseConfig(AppConfig):
    name = "database"

    def ready(self) -> None:
        register(prepared_queries, Tags.database)
