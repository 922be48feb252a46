"""Oneself, as the API shows and takes it."""

from typing import Any

from django.contrib.auth import authenticate
from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import APIException, AuthenticationFailed

from users import tokens
from users.limits import remember_address
from users.models import User
from users.names import EMAIL_LENGTH, USERNAME_LENGTH, validate_username
from users.serializer_fields import Email, LongText, Name, Password


class InvalidCredentials(APIException):
    """The e-mail is unknown, or the password is not the right one: nobody is told which."""

    status_code = 401
    default_code = "invalid_credentials"
    default_detail = {"credentials": "invalid"}


class UserSerializer(serializers.Serializer[User]):
    """Shows and changes a user."""

    email = Email()
    token = serializers.SerializerMethodField()
    username = Name(max_length=USERNAME_LENGTH)
    password = Password(write_only=True)
    bio = LongText(max_length=2000, required=False, allow_blank=True, allow_null=True)
    image = LongText(max_length=4096, required=False, allow_blank=True, allow_null=True)

    def get_token(self, user: User) -> str:
        """The token in use; a new one after a registration or a log-in."""
        token: tokens.Token | None = self.context["request"].auth
        return token.text if token else tokens.issue(user.pk, user.token_generation)

    def validate_username(self, username: str) -> str:
        # A name that is stored already may be older than the rule, and front ends send it back.
        if self.instance is None or username != self.instance.username:
            validate_username(username)
        return username

    def validate_bio(self, bio: str | None) -> str | None:
        return bio or None

    def validate_image(self, image: str | None) -> str | None:
        return image or None

    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        if not validated_data:
            return instance
        _write(instance, validated_data)
        # Only what was sent is written: of two requests at once, neither undoes the other.
        # The savepoint is for a name that is taken: a constraint answers, and the
        # transaction around it, if there is one, goes on.
        with transaction.atomic():
            if "password" in validated_data:
                _end_other_tokens(instance, self.context["request"].auth)
            instance.save(update_fields=validated_data.keys())
        return instance


def _write(user: User, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name == "password":
            user.set_password(value)
        else:
            setattr(user, name, value)


def _end_other_tokens(user: User, token: tokens.Token) -> None:
    """Raises AuthenticationFailed if another new password has ended the token since the request
    began. The lock keeps a third one from doing so before the COMMIT."""
    rows = User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True)
    row = rows.first()
    if row is None or not token.is_current(row):
        raise AuthenticationFailed
    user.end_tokens(keep=token.text)


class RegistrationSerializer(UserSerializer):
    """A new user, who says nothing of themselves yet."""

    bio = LongText(read_only=True)
    image = LongText(read_only=True)

    def create(self, validated_data: dict[str, Any]) -> User:
        user = User()
        # Hashing comes first: it takes long, and in a transaction it would hold a connection up.
        _write(user, validated_data)
        with transaction.atomic():
            user.save()
            remember_address(user, self.context["request"])
        return user


class LoginSerializer(serializers.Serializer[User]):
    email = Name(max_length=EMAIL_LENGTH)
    password = LongText()

    def create(self, validated_data: dict[str, Any]) -> User:
        """The user with these credentials; raises InvalidCredentials.

        Django hashes a password for unknown e-mails too: both cases take the same time.
        """
        user = authenticate(
            self.context["request"],
            username=validated_data["email"],
            password=validated_data["password"],
        )
        if not isinstance(user, User):
            raise InvalidCredentials
        return user
