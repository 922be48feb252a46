from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "users.mail"

    def ready(self) -> None:
        from users.mail import checks as checks  # registers them
