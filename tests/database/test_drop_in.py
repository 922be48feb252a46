"""The backend behaves as Django's own where code or settings of any project may depend on it."""

from collections.abc import Callable, Iterator
from time import monotonic

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, connection, connections
from psycopg.errors import InvalidParameterValue
from psycopg_pool import PoolTimeout

from database.backend.base import DatabaseWrapper
from tests.database.pools import MakePool
from tests.database.servers import wait_until

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
    wrapper = connections[SECOND]
    assert isinstance(wrapper, DatabaseWrapper)
    wrapper.close()
    wrapper.close_pool()
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


def test_a_copy_without_a_pool_opens_a_connection_of_its_own(second: Connect) -> None:
    pooled = second(pool={"min_size": 1, "max_size": 1, "timeout": 0.2})
    pooled.connect()
    own = pooled.copy()
    own.settings_dict["OPTIONS"]["pool"] = False

    with own.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    own.close()

    assert own.pool is None
    assert pid != pooled.connection.info.backend_pid


def test_the_options_of_a_copy_without_a_pool_count(second: Connect) -> None:
    pooled = second(pool=True)
    pooled.connect()
    own = pooled.copy()
    own.settings_dict["OPTIONS"] |= {"pool": False, "assume_role": "nobody_has_this_role"}

    with pytest.raises(InvalidParameterValue, match="nobody_has_this_role"):
        own.connect()
    own.close()


def test_a_pool_takes_every_option_that_django_takes(second: Connect) -> None:
    reset: list[object] = []
    options = {"min_size": 1, "max_size": 1, "name": "named", "reset": reset.append}
    options |= {"reconnect_timeout": 3.0, "reconnect_failed": lambda pool: None}
    wrapper = second(pool=options | {"max_waiting": 0})  # no limit, as in psycopg_pool
    wrapper.connect()
    session, pool = wrapper.connection, wrapper.pool

    assert pool is not None
    assert (pool.name, pool.reconnect_timeout) == ("named", 3)
    assert not pool.is_full
    wrapper.close()
    wait_until(lambda: reset == [session], "the session is reset")


def test_the_check_of_a_pool_is_that_of_its_options(second: Connect) -> None:
    checked: list[object] = []

    def check(session: psycopg.Connection) -> None:
        checked.append(session)
        if len(checked) == 1:
            session.close()
            raise psycopg.OperationalError("the first is refused")

    wrapper = second(pool={"min_size": 1, "max_size": 1, "check": check})
    wrapper.connect()

    assert checked[0] is not wrapper.connection
    assert checked[1] is wrapper.connection


def test_the_check_of_a_pool_does_not_wait_for_ever(make_pool: MakePool) -> None:
    pool = make_pool(
        check=lambda session: session.execute("SELECT pg_sleep(30)"), ping_timeout=0.1, timeout=0.5
    )
    started = monotonic()

    with pytest.raises(PoolTimeout):
        pool.getconn()

    assert monotonic() - started < 5
