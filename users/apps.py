from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class UsersConfig(AppConfig):
    name = "users"

    def ready(self) -> None:
        from users.sessions import begin

        user_logged_in.connect(begin, dispatch_uid="users.sessions.begin")
