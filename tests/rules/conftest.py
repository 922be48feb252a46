"""The admin, opened by a superuser."""

import pytest
from django.test import Client

from tests.builders import make_user
from users.models import User


@pytest.fixture
def editor(db: None) -> User:
    return make_user("editor", is_staff=True, is_superuser=True)


@pytest.fixture
def site(editor: User) -> Client:
    client = Client()
    client.force_login(editor)
    return client
