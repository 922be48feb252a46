"""The current user in requests and answers of the API."""

from typing import Any

from django.contrib.auth import authenticate
from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import APIException, AuthenticationFailed

from users import tokens
from users.limits.logins import remember_address
from users.models import BIO_LENGTH, IMAGE_LENGTH, User
from users.names import EMAIL_LENGTH, USERNAME_LENGTH, validate_username
from users.serializer_fields import Email, LongText, Name, Password
from users.sessions import Session


class InvalidCredentials(APIException):
    """The e-mail is unknown or the password is wrong; the answer is the same for both."""

    status_code = 401
    default_code = "invalid_credentials"
    default_detail = {"credentials": "invalid"}


class UserSerializer(serializers.Serializer[User]):
    """Shows and changes the current user. A new password ends all logins of the user except the
    one that is in use: the token of the request or, on the site, the context's `session`."""

    email = Email()
    username = Name(max_length=USERNAME_LENGTH)
    password = Password(write_only=True)
    bio = LongText(max_length=BIO_LENGTH, required=False, allow_blank=True, allow_null=True)
    image = LongText(max_length=IMAGE_LENGTH, required=False, allow_blank=True, allow_null=True)

    def to_representation(self, instance: User) -> dict[str, Any]:
        """The user with the token in use; with a new one after a registration or a login."""
        # The base class would create all fields: a third of the cost of GET /user.
        token: tokens.Token | None = self.context["request"].auth
        return {
            "email": instance.email,
            "token": token.text if token else tokens.issue(instance.pk, instance.token_generation),
            "username": instance.username,
            "bio": instance.bio,
            "image": instance.image,
        }

    def validate_username(self, username: str) -> str:
        # An unchanged name is accepted: it may be older than the rule, and front ends send it back.
        if self.instance is None or username != self.instance.username:
            validate_username(username)
        return username

    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        if not validated_data:
            return instance
        _write(instance, validated_data)
        session: Session | None = self.context.get("session")
        ends_logins = "password" in validated_data
        # Only the fields that were sent are written, so two simultaneous requests do not undo
        # each other's changes. The savepoint keeps an outer transaction usable if a unique
        # constraint refuses a name.
        with transaction.atomic():
            if ends_logins:
                _end_other_logins(instance, session or self.context["request"].auth)
            instance.save(update_fields=validated_data.keys())
        if ends_logins and session:
            session.keep(instance)
        return instance


def _write(user: User, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name == "password":
            user.set_password(value)
        else:
            setattr(user, name, value or None)  # an empty bio or image is NULL


def _end_other_logins(user: User, login: tokens.Token | Session) -> None:
    """Raises AuthenticationFailed if another request has ended the login since this one began.
    The row lock makes other changes of the password wait for the COMMIT."""
    rows = User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True)
    row = rows.first()
    if row is None or not login.is_current(row):
        raise AuthenticationFailed
    user.end_tokens(keep=login.text if isinstance(login, tokens.Token) else None)


class RegistrationSerializer(UserSerializer):
    """Creates a user, without a bio and an image."""

    bio = LongText(read_only=True)
    image = LongText(read_only=True)

    def create(self, validated_data: dict[str, Any]) -> User:
        user = User()
        # Hash outside of the transaction: hashing is slow, and would keep a connection busy.
        _write(user, validated_data)
        with transaction.atomic():
            user.save()
            remember_address(user, self.context["request"])
        return user


class LoginSerializer(serializers.Serializer[User]):
    email = Name(max_length=EMAIL_LENGTH)
    password = LongText()

    def create(self, validated_data: dict[str, Any]) -> User:
        """The user with these credentials. Raises InvalidCredentials."""
        user = authenticate(
            self.context["request"],
            username=validated_data["email"],
            password=validated_data["password"],
        )
        if not isinstance(user, User):
            raise InvalidCredentials
        return user


class PasswordResetSerializer(serializers.Serializer[User]):
    """Who has forgotten their password."""

    email = Email()


class NewPasswordSerializer(serializers.Serializer[User]):
    password = Password()
