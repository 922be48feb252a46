"""The backend behaves as Django's own where code or settings of any project may depend on it."""

from collections.abc import Callable, Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, connection, connections

from database.backend.base import DatabaseWrapper

pytestmark = pytest.mark.django_db

Connect = Callable[..., DatabaseWrapper]
SECOND = "second"  # an alias


@pytest.fixture
def second() -> Iterator[Connect]:
    """`second(pool=False)`: another connection to the database of the test, with these OPTIONS."""

    def make(**options: object) -> DatabaseWrapper:
        wrapper = connection.copy(SECOND)
        assert isinstance(wrapper, DatabaseWrapper)
        wrapper.settings_dict["OPTIONS"] |= options
        connections[SECOND] = wrapper  # Django's signal handlers look it up
        return wrapper

    yield make
    connections[SECOND].close()
    connections[SECOND].close_pool()
    del connections[SECOND]


def test_a_connection_in_an_aborted_transaction_is_not_usable() -> None:
    with connection.cursor() as cursor, pytest.raises(DataError):
        cursor.execute("SELECT 1 / 0")

    # TestCase asks before it checks constraints, which fails in an aborted transaction.
    assert not connection.is_usable()


def test_a_connection_in_the_middle_of_a_copy_is_not_usable(second: Connect) -> None:
    wrapper = second(pool=False)
    with wrapper.cursor() as cursor, cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
        usable = wrapper.is_usable()
        rows = list(copy.rows())

    assert not usable
    assert rows == [("1",)]


@pytest.mark.parametrize("level", [-1, None])
def test_an_unknown_isolation_level_is_a_configuration_error(
    second: Connect, level: object
) -> None:
    wrapper = second(pool=False, isolation_level=level)

    with pytest.raises(ImproperlyConfigured, match=f"isolation level {level} specified"):
        wrapper.connect()
