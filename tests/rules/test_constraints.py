"""The constraints of the database hold for every writer, also for plain SQL."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import UniqueConstraint

from articles.models import Article
from database.errors import violated_constraint
from tests.builders import follow, like, write_article, write_comment
from users.models import User
from users.names import TAKEN_FIELDS

# Each statement violates exactly one constraint, when Alice wrote two articles with the same tags,
# and Bob follows Alice, and favorited and commented on both articles.
BREACHES = {
    "username_folded_once": "UPDATE users_user SET username_folded = 'alice'",
    "username_once": "UPDATE users_user SET username = 'alice'",
    "username_given": "UPDATE users_user SET username = ''",
    "email_folded_once": "UPDATE users_user SET email_folded = 'alice@example.com'",
    "email_once": "UPDATE users_user SET email = 'alice@example.com'",
    "email_given": "UPDATE users_user SET email = ''",
    "bio_null_when_empty": "UPDATE users_user SET bio = ''",
    "image_null_when_empty": "UPDATE users_user SET image = ''",
    "known_address_once": (
        "INSERT INTO users_knownaddress (user_id, address_hmac, last_used_at)"
        " SELECT id, 'the same', now() FROM users_user, generate_series(1, 2)"
    ),
    "deletion_once": (
        "INSERT INTO users_deletion (model, row_id)"
        " SELECT 'users.user', 1 FROM generate_series(1, 2)"
    ),
    "follow_once": (
        "INSERT INTO profiles_follow (follower_id, followed_id, created_at)"
        " SELECT follower_id, followed_id, created_at FROM profiles_follow"
    ),
    "follow_not_oneself": "UPDATE profiles_follow SET follower_id = followed_id",
    "tag_once": "INSERT INTO articles_tag (name) SELECT name FROM articles_tag",
    "tag_given": "UPDATE articles_tag SET name = ''",
    "slug_once": "UPDATE articles_article SET slug = 'the-same'",
    "slug_not_feed": "UPDATE articles_article SET slug = 'feed'",
    "old_slug_once": (
        "INSERT INTO articles_oldslug (slug, article_id)"
        " SELECT 'the-same', id FROM articles_article"
    ),
    "title_given": "UPDATE articles_article SET title = ''",
    "description_given": "UPDATE articles_article SET description = ''",
    "body_given": "UPDATE articles_article SET body = ''",
    "body_length": "UPDATE articles_article SET body = repeat('😀', 200001)",
    "tagging_once": (
        "INSERT INTO articles_tagging (article_id, tag_id)"
        " SELECT article_id, tag_id FROM articles_tagging"
    ),
    "favorite_once": (
        "INSERT INTO articles_favorite (user_id, article_id, created_at)"
        " SELECT user_id, article_id, created_at FROM articles_favorite"
    ),
    "comment_given": "UPDATE articles_comment SET body = ''",
    "comment_length": "UPDATE articles_comment SET body = repeat('😀', 10001)",
    "visibility_change_once": "INSERT INTO users_visibilitychange (model, row_id, hide)"
    " VALUES ('articles.article', 1, true), ('articles.article', 1, false)",
    "merge_of_two_tags": "INSERT INTO articles_tagmerge (source_id, target_id) VALUES (1, 1)",
}


@pytest.fixture
def scene(alice: User, bob: User) -> None:
    for _ in range(2):
        article = write_article(alice, tags=("a", "b"))
        like(bob, article)
        write_comment(bob, article)


def constraint_violated_by(statement: str) -> str | None:
    """The constraint that refuses the statement."""
    with (
        pytest.raises(IntegrityError) as refusal,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    return violated_constraint(refusal.value)


@pytest.mark.parametrize(("name", "breach"), BREACHES.items(), ids=BREACHES)
def test_the_database_refuses_the_breach(scene: None, name: str, breach: str) -> None:
    assert constraint_violated_by(breach) == name


def test_every_constraint_has_a_test() -> None:
    ours = [
        model
        for app in ("users", "profiles", "articles")
        for model in apps.get_app_config(app).get_models()
    ]

    assert {rule.name for model in ours for rule in model._meta.constraints} == {*BREACHES}


def test_an_empty_slug_is_refused_too(scene: None) -> None:
    one = "(SELECT min(id) FROM articles_article)"

    breach = f"UPDATE articles_article SET slug = '' WHERE id = {one}"  # noqa: S608 -- no input

    assert constraint_violated_by(breach) == "slug_not_feed"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users_user SET bio = NULL, image = NULL",
        "UPDATE articles_article SET title = repeat('😀', 255)",
        "UPDATE articles_article SET description = repeat('😀', 1000)",
        "UPDATE articles_article SET body = repeat('😀', 200000)",
        "UPDATE articles_comment SET body = repeat('😀', 10000)",
        "UPDATE articles_tag SET name = name || repeat('😀', 63)",
    ],
)
def test_valid_values_are_accepted(scene: None, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)

    assert Article.objects.count() == 2


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("articles_article", "author_id"),
        ("articles_comment", "author_id"),
        ("articles_comment", "article_id"),
        ("articles_favorite", "user_id"),
        ("articles_favorite", "article_id"),
        ("articles_tagging", "article_id"),
        ("articles_tagging", "tag_id"),
        ("profiles_follow", "follower_id"),
        ("profiles_follow", "followed_id"),
    ],
)
def test_a_foreign_key_to_a_missing_row_is_refused(scene: None, table: str, column: str) -> None:
    one = f"(SELECT min(id) FROM {table})"  # noqa: S608 -- no input

    name = constraint_violated_by(
        # Otherwise Django's foreign keys are checked at the commit.
        f"SET CONSTRAINTS ALL IMMEDIATE;UPDATE {table} SET {column} = 0 WHERE id = {one}"  # noqa: S608 -- no input
    )

    assert name
    assert name.startswith(f"{table}_{column}_")
    assert "_fk_" in name


def test_a_row_of_bulk_create_that_breaks_a_rule_is_refused_too(alice: User) -> None:
    taken = write_article(alice)
    copy = Article(
        author=alice,
        slug=taken.slug,
        title="A copy",
        description="Of another",
        body="Text",
        updated_at=taken.updated_at,
    )

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        Article.objects.bulk_create([copy])

    assert violated_constraint(refusal.value) == "slug_once"


def test_usernames_that_differ_only_in_case_are_refused(alice: User) -> None:
    twin = User(username="ALICE", email="twin@example.com", password="!")

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        User.objects.bulk_create([twin])

    assert violated_constraint(refusal.value) == "username_folded_once"


def test_emails_that_differ_only_in_case_are_refused(alice: User) -> None:
    twin = User(username="twin", email="Alice@EXAMPLE.com", password="!")

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        User.objects.bulk_create([twin])

    assert violated_constraint(refusal.value) == "email_folded_once"


def test_users_may_follow_each_other(alice: User, bob: User) -> None:
    assert follow(alice, bob).pk


@pytest.mark.parametrize(
    "breach",
    [
        "INSERT INTO articles_article (author_id, created_at, updated_at, slug, title, description,"
        " body) SELECT author_id, now(), now(), 'old', 'T', 'D', 'B' FROM articles_article LIMIT 1",
        "UPDATE articles_article SET slug = 'old' WHERE slug = 'other'",
    ],
)
def test_no_other_article_can_take_an_old_slug(alice: User, breach: str) -> None:
    article = write_article(alice, title="Old")
    article.title = "New"
    article.save()
    write_article(alice, title="Other")

    assert constraint_violated_by(breach) == "old_slug_once"


def test_each_unique_constraint_of_users_names_its_field() -> None:
    fields = {
        constraint.name: constraint.fields[0].removesuffix("_folded")
        for constraint in User._meta.constraints
        if isinstance(constraint, UniqueConstraint)
    }

    assert fields == TAKEN_FIELDS
