"""Creates rows: a test gives only the fields that matter to it."""

from functools import cache
from itertools import count
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission

from articles.models import Article, Comment, Favorite, Tag
from profiles.models import Follow
from users.models import User

PASSWORD = "correct horse"
_numbers = count(1)


@cache
def _hashed_password() -> str:
    """Hashed once for all tests, because a hash takes longer than the rest of a test."""
    return make_password(PASSWORD)


def make_user(username: str, **fields: Any) -> User:
    """A user with the e-mail `<username>@example.com` and the password PASSWORD."""
    fields = {"email": f"{username}@example.com", "password": _hashed_password()} | fields
    return User.objects.create(username=username, **fields)


def make_staff(username: str, *codenames: str, groups: tuple[Group, ...] = ()) -> User:
    """A staff user with these permissions."""
    user = make_user(username, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    user.groups.set(groups)
    return user


def make_superuser(username: str) -> User:
    return make_user(username, is_staff=True, is_superuser=True)


def make_group(name: str, *codenames: str) -> Group:
    group = Group.objects.create(name=name)
    group.permissions.set(Permission.objects.filter(codename__in=codenames))
    return group


def write_article(author: User, *, tags: tuple[str, ...] = (), **fields: Any) -> Article:
    number = next(_numbers)
    fields = {
        "title": f"Article {number}",
        "description": f"What article {number} is about",
        "body": f"The text of article {number}",
    } | fields
    article = Article.objects.create(author=author, **fields)
    article.tags.set(Tag.objects.named(tags))
    return article


def write_comment(author: User, article: Article, **fields: Any) -> Comment:
    fields = {"body": f"Comment {next(_numbers)}"} | fields
    return Comment.objects.create(author=author, article=article, **fields)


def like(user: User, article: Article) -> Favorite:
    return Favorite.objects.create(user=user, article=article)


def follow(follower: User, followed: User) -> Follow:
    return Follow.objects.create(follower=follower, followed=followed)
