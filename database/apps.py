from django.apps import AppConfig
from django.core.checks import Tags, register

from database.serving import check_queries


class DatabaseConfig(AppConfig):
    name = "database"

    def ready(self) -> None:
        register(check_queries, Tags.database)
