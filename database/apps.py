from django.apps import AppConfig
from django.core.checks import Tags, register

from database.serving import prepared_queries


class DatabaseConfig(AppConfig):
    name = "database"

    def ready(self) -> None:
        register(prepared_queries, Tags.database)
