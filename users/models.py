"""Who somebody is."""

import unicodedata
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from users.known_addresses import KnownAddress as KnownAddress  # Django finds models here

EMAIL_LENGTH = 254
USERNAME_LENGTH = 64


def fold(text: str) -> str:
    """The same text for every way to write it in upper and lower case, in any script.

    This is the canonical caseless match of the Unicode Standard, section 3.13, D145,
    composed again to keep it short. Folding is done here and not by the database,
    because there `lower()` depends on the collation: under "C" it knows ASCII alone.
    """
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", decomposed.casefold()))


class FoldedField(models.TextField):  # type: ignore[type-arg]  # generic in the stubs alone
    """Another field of the same row, folded; kept by every way to write the row that
    passes through the ORM, `bulk_create()` included."""

    def __init__(self, source: str, **options: Any) -> None:
        self.source = source
        super().__init__(editable=False, **options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        del options["editable"]
        return name, path, [self.source, *args], options

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        folded = fold(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, folded)
        return folded


def username_allowed(username: str) -> None:
    """Letters of any script, with their marks (without them half of India could not
    write a name), decimal digits and `. _ + -`; at least one letter or digit."""
    if len(username) > USERNAME_LENGTH:
        return  # another validator's business, and not worth a look at every character
    kinds = [unicodedata.category(character) for character in username]
    plain = [kind.startswith("L") or kind == "Nd" for kind in kinds]
    marks = [kind.startswith("M") for kind in kinds]
    signs = [character in "._+-" for character in username]
    if not any(plain) or not all(map(max, plain, marks, signs)):
        raise ValidationError(
            "Letters, digits and . _ + - only, and at least one letter or digit.",
            code="username_not_allowed",
        )


class UserManager(BaseUserManager["User"]):
    def create_user(
        self, email: str, username: str, password: str | None = None, **fields: Any
    ) -> "User":
        user = self.model(email=email, username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(
        self, email: str, username: str, password: str | None = None, **fields: Any
    ) -> "User":
        return self.create_user(
            email, username, password, is_staff=True, is_superuser=True, **fields
        )

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user with this e-mail, in any case; the log-ins of API and admin ask here."""
        # Folding takes time in the square of a text's length, if the text is made for it.
        if len(username or "") > EMAIL_LENGTH:
            raise self.model.DoesNotExist
        return self.get(email_folded=fold(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField("e-mail", max_length=EMAIL_LENGTH)
    email_folded = FoldedField("email")
    username = models.CharField(max_length=USERNAME_LENGTH, validators=[username_allowed])
    username_folded = FoldedField("username")
    # NULL, where Django would have "": the API shows null for what was never given.
    bio = models.CharField(max_length=2000, blank=True, null=True)  # noqa: DJ001
    image = models.CharField(max_length=4096, blank=True, null=True)  # noqa: DJ001
    is_active = models.BooleanField(
        "active", default=True, help_text="Whoever is not active can't log in."
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May use this admin site.")
    created_at = models.DateTimeField("joined at", default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["username"]

    class Meta:
        constraints = [
            # One person for each way to write a name; `username_once` and `email_once`
            # are implied by them, and serve the look-ups as typed.
            models.UniqueConstraint(fields=["username_folded"], name="username_folded_once"),
            models.UniqueConstraint(fields=["email_folded"], name="email_folded_once"),
            models.UniqueConstraint(fields=["username"], name="username_once"),
            models.UniqueConstraint(fields=["email"], name="email_once"),
            models.CheckConstraint(condition=~models.Q(username=""), name="username_given"),
            models.CheckConstraint(condition=~models.Q(email=""), name="email_given"),
            models.CheckConstraint(condition=~models.Q(bio=""), name="bio_null_when_empty"),
            models.CheckConstraint(condition=~models.Q(image=""), name="image_null_when_empty"),
        ]

    def __str__(self) -> str:
        return self.username

    def get_short_name(self) -> str:
        """How the admin greets somebody."""
        return self.username

    def save(self, **options: Any) -> None:
        if (fields := options.get("update_fields")) is not None:
            options["update_fields"] = {*fields, "username_folded", "email_folded"}
        super().save(**options)

    def clean(self) -> None:
        """Forms leave the folded columns out of their checks: the same rule, in words.

        Not the base class's rule, which rewrites the e-mail: it is shown as typed.
        """
        others = User.objects.exclude(pk=self.pk)
        taken = {}
        # A field that has failed already may be None here.
        if others.filter(username_folded=fold(self.username or "")).exists():
            taken["username"] = "This name is taken, in this or another case."
        if others.filter(email_folded=fold(self.email or "")).exists():
            taken["email"] = "This e-mail is taken, in this or another case."
        if taken:
            raise ValidationError(taken)
