"""The user: account, profile and password."""

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from users.audit import AuditEntry as AuditEntry  # Django looks for models here
from users.deletion import Deletion as Deletion
from users.known_addresses import KnownAddress as KnownAddress
from users.model_fields import (
    FoldedField,
    FoldedQuerySet,
    NormalizedCharField,
    NormalizedEmailField,
    defer_with_source,
    folded_columns,
    with_folded,
)
from users.names import EMAIL_LENGTH, MAX_INPUT_LENGTH, USERNAME_LENGTH, fold, validate_username
from users.passwords import normalize_password
from users.revocation import Revocable
from users.visibility import IN_ADMIN, Hideable
from users.visibility_changes import VisibilityChange as VisibilityChange

BIO_LENGTH = 2_000
IMAGE_LENGTH = 4_096


class UserManager(BaseUserManager["User"]):
    def get_queryset(self) -> FoldedQuerySet["User"]:
        return FoldedQuerySet(self.model, using=self._db)

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
        """The user with this e-mail, in any case. Logins of the API and the admin call this."""
        # Folding a crafted text takes time quadratic in its length.
        if len(username or "") > MAX_INPUT_LENGTH:
            raise self.model.DoesNotExist
        return self.get(email_folded=fold(username or ""))


class User(Revocable, PermissionsMixin, Hideable):
    email = NormalizedEmailField("e-mail", max_length=EMAIL_LENGTH)
    email_folded = FoldedField("email")
    username = NormalizedCharField(max_length=USERNAME_LENGTH)
    username_folded = FoldedField("username")
    # NULL instead of Django's usual "": the API shows null for an empty bio or image.
    bio = models.CharField(max_length=BIO_LENGTH, blank=True, null=True)  # noqa: DJ001
    image = models.CharField(max_length=IMAGE_LENGTH, blank=True, null=True)  # noqa: DJ001
    is_active = models.BooleanField(
        "active", default=True, help_text="Inactive users cannot log in."
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May use this admin site.")
    created_at = models.DateTimeField("joined at", default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["username"]

    class Meta:
        permissions = [
            ("suspend_user", "Can suspend and restore users, and log them out everywhere"),
        ]
        constraints = [
            # The constraints on folded columns imply `username_once` and `email_once`, whose
            # indexes serve lookups of the exact text.
            models.UniqueConstraint(fields=["username_folded"], name="username_folded_once"),
            models.UniqueConstraint(fields=["email_folded"], name="email_folded_once"),
            models.UniqueConstraint(fields=["username"], name="username_once"),
            models.UniqueConstraint(fields=["email"], name="email_once"),
            models.CheckConstraint(condition=~models.Q(username=""), name="username_given"),
            models.CheckConstraint(condition=~models.Q(email=""), name="email_given"),
            models.CheckConstraint(condition=~models.Q(bio=""), name="bio_null_when_empty"),
            models.CheckConstraint(condition=~models.Q(image=""), name="image_null_when_empty"),
        ]
        indexes = [
            # Lists of articles scan it to exclude the articles of hidden users.
            models.Index(
                fields=["id"], name="hidden_users", condition=models.Q(hidden_at__isnull=False)
            ),
            # Without it, `users.privileges` would read all users to lock the superusers.
            models.Index(fields=["id"], name="superusers", condition=models.Q(is_superuser=True)),
            # For the list of the admin, and for its search by the start of a name or e-mail. Only
            # an index with `text_pattern_ops` finds prefixes under every collation.
            models.Index(fields=["-created_at", "-id"], name="newest_users", condition=IN_ADMIN),
            models.Index(
                fields=["username_folded"], name="username_prefix", opclasses=["text_pattern_ops"]
            ),
            models.Index(
                fields=["email_folded"], name="email_prefix", opclasses=["text_pattern_ops"]
            ),
        ]

    def __str__(self) -> str:
        return self.username

    @classmethod
    def values_when_queued(cls) -> dict[str, Any]:
        return super().values_when_queued() | {"is_active": False}

    def get_full_name(self) -> str:
        """The name that the admin shows of its user, beside the e-mail."""
        return self.username

    def save(self, **options: Any) -> None:
        if (fields := options.get("update_fields")) is not None:
            options["update_fields"] = with_folded(User, fields)
        elif not self._state.adding:
            defer_with_source(self)
        super().save(**options)

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(None if raw_password is None else normalize_password(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        """Whether this is the password. A hash with old parameters is replaced.

        Tries the normalized password, then the password as sent: the hashes of imported users may
        be of passwords that were not normalized.
        """

        def rehash(password: str) -> None:
            old, self.password = self.password, make_password(normalize_password(password))
            # Do not overwrite a password that was set after this row was read.
            User.objects.filter(pk=self.pk, password=old).update(password=self.password)

        if raw_password is None:
            return False
        texts = dict.fromkeys((normalize_password(raw_password), raw_password))
        return any(check_password(text, self.password, rehash) for text in texts)

    async def acheck_password(self, raw_password: str | None) -> bool:
        return await sync_to_async(self.check_password)(raw_password)

    def clean(self) -> None:
        """Checks that the username is allowed, and that username and e-mail are free.

        Does not call the base class, which changes the domain of the e-mail to lower case.
        """
        errors: dict[str, Any] = {}
        # An unchanged username is accepted: it may be older than the rule. A field that has
        # failed its own validation may be None.
        username = self.username or ""
        if username and not User.objects.filter(pk=self.pk, username=username).exists():
            try:
                validate_username(username)
            except ValidationError as error:
                errors["username"] = error
        others = User.objects.exclude(pk=self.pk)
        for source, folded in folded_columns(User).items():
            if others.filter(**{folded: fold(getattr(self, source) or "")}).exists():
                errors[source] = "Already taken, perhaps in another case or other letter forms."
        if errors:
            raise ValidationError(errors)


def row_exists(rows: models.QuerySet[Any]) -> Coalesce:
    """Whether `rows` has a row for a row of the outer query: one index lookup for each outer row.

    A unique constraint must ensure that there is at most one: PostgreSQL refuses a second row.

    Not EXISTS: PostgreSQL may turn it into a join that reads many more rows, such as ten thousand
    favorites of a viewer for a page of twenty articles.
    """
    # No LIMIT: each adds 0.9 KB to a prepared statement.
    return Coalesce(models.Subquery(rows.values_list(models.Value(True))), False)


def is_hidden(user: str) -> Coalesce:
    """Whether the user whose id is in this column of the outer query is hidden.

    Costs one lookup in the small index of hidden users for each row. A join would look up every
    user, and the plan for a `NOT IN` depends on PostgreSQL's estimate of the hidden users.
    """
    return row_exists(User.objects.filter(pk=models.OuterRef(user), hidden_at__isnull=False))
