from collections.abc import Callable

import pytest

from tests.website.reader import Reader
from users.models import User

type ReaderFor = Callable[[User], Reader]


@pytest.fixture
def stranger(db: None) -> Reader:
    """A reader without an account."""
    return Reader()


@pytest.fixture
def reader_for(db: None) -> ReaderFor:
    """`reader_for(alice)` is a browser in which Alice is logged in."""
    return lambda user: Reader().as_user(user)
