"""The backend behaves as Django's own where code or settings of any project may depend on it."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from time import monotonic

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, OperationalError, connection, connections
from django.db.backends.postgresql import base
from psycopg.errors import InvalidParameterValue
from psycopg_pool import PoolTimeout

from database.backend.base import DatabaseWrapper
from database.backend.watchdog import watchdog
from database.serving import problems
from database.settings import Limits
from tests.database.pools import MakePool
from tests.database.servers import wait_until

pytestmark = pytest.mark.django_db

Connect = Callable[..., DatabaseWrapper]
SECOND = "second"  # an alias
ONE = {"min_size": 1, "max_size": 1}  # options of a pool


@pytest.fixture
def second() -> Iterator[Connect]:
    """`second(pool=False)`: another connection to the database of the test, with these OPTIONS."""

    pools = DatabaseWrapper._connection_pools
    wrappers: weakref.WeakSet[DatabaseWrapper] = weakref.WeakSet()

    def make(**options: object) -> DatabaseWrapper:
        wrapper = connection.copy(SECOND)
        assert isinstance(wrapper, DatabaseWrapper)
        wrapper.settings_dict["OPTIONS"] |= options
        connections[SECOND] = wrapper  # Django's signal handlers look it up
        wrappers.add(wrapper)
        return wrapper

    yield make
    for wrapper in wrappers:
        wrapper.inc_thread_sharing()
        wrapper.close()
    if pool := pools.pop(SECOND, None):
        pool.close()
    if hasattr(connections._connections, SECOND):  # type: ignore[attr-defined]  # Django's
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
    pooled = second(pool=ONE | {"timeout": 2})
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
    options = ONE | {"name": "named", "reset": reset.append}
    options |= {"reconnect_timeout": 3.0, "reconnect_failed": lambda pool: None}
    wrapper = second(pool=options | {"max_waiting": 0})  # no limit, as in psycopg_pool
    wrapper.connect()
    session, pool = wrapper.connection, wrapper.pool

    assert pool is not None
    assert (pool.name, pool.reconnect_timeout) == ("named", 3)
    assert not pool.is_full
    wrapper.close()
    wait_until(lambda: reset == [session], "the session is reset")


@pytest.mark.parametrize(
    ("pool", "mistake"),
    [
        ({"size": 3}, "unexpected keyword argument 'size'"),
        ({"min_size": 2, "max_size": 1}, "max_size must be greater"),
        ("yes", "must be a mapping"),
    ],
)
def test_wrong_options_of_a_pool_are_a_configuration_error(
    second: Connect, monkeypatch: pytest.MonkeyPatch, pool: object, mistake: str
) -> None:
    wrapper = second(pool=pool)
    monkeypatch.setitem(connections.settings, SECOND, wrapper.settings_dict)

    with pytest.raises(ImproperlyConfigured, match=f"'second'.*{mistake}"):
        wrapper.connect()

    (problem,) = problems(workers=1, threads=1, patience=20)
    assert problem.exit_status == 78
    assert problem.text.startswith("DATABASES['second'] has wrong options of the pool: ")


def test_dbcheck_reports_a_database_without_a_name(
    second: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = second()
    wrapper.settings_dict["NAME"] = ""
    monkeypatch.setitem(connections.settings, SECOND, wrapper.settings_dict)

    (problem,) = problems(workers=1, threads=1, patience=20)

    assert problem.exit_status == 78
    assert problem.text.startswith("Database 'second': settings.DATABASES is improperly configured")


def test_a_checkout_waits_for_the_acquire_timeout_unless_the_pool_has_its_own(
    second: Connect,
) -> None:
    limits = Limits(acquire_timeout=0.25)

    assert second(pool=True, limits=limits).pool.timeout == 0.25  # type: ignore[union-attr]
    second(pool=True).close_pool()
    assert second(pool={"timeout": 7.0}, limits=limits).pool.timeout == 7  # type: ignore[union-attr]


def test_an_attempt_to_connect_ends_with_the_acquire_timeout_unless_options_say_otherwise(
    second: Connect,
) -> None:
    wrapper = second(limits=Limits(acquire_timeout=4.5), connect_timeout=7)
    assert wrapper.get_connection_params()["connect_timeout"] == 7

    del wrapper.settings_dict["OPTIONS"]["connect_timeout"]
    assert wrapper.get_connection_params()["connect_timeout"] == 5


def test_the_check_of_a_pool_is_that_of_its_options(second: Connect) -> None:
    checked: list[object] = []

    def check(session: psycopg.Connection) -> None:
        checked.append(session)
        if len(checked) == 1:
            session.close()
            raise psycopg.OperationalError("the first is refused")

    wrapper = second(pool=ONE | {"check": check})
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


POOLS = [False, ONE]


def in_thread(work: Callable[[], object]) -> None:
    """Do this in another thread, and wait until the thread has ended."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def shared(second: Connect, pool: object) -> DatabaseWrapper:
    """A connection that a thread has opened, shared and left open when it ended."""
    made: list[DatabaseWrapper] = []

    def connect() -> None:
        made.append(second(pool=pool))
        made[0].inc_thread_sharing()
        made[0].connect()

    in_thread(connect)
    return made.pop()


@pytest.mark.parametrize("pool", POOLS)
def test_a_shared_connection_outlives_its_thread(second: Connect, pool: object) -> None:
    wrapper = shared(second, pool)
    watchdog._look(monotonic())

    assert not wrapper.connection.closed


@pytest.mark.parametrize("pool", POOLS)
def test_a_connection_that_another_thread_opened_belongs_to_the_thread_of_its_wrapper(
    second: Connect, pool: object
) -> None:
    wrapper = second(pool=pool)
    wrapper.inc_thread_sharing()
    in_thread(wrapper.connect)
    wrapper.dec_thread_sharing()
    watchdog._look(monotonic())

    assert not wrapper.connection.closed


@pytest.mark.parametrize("pool", POOLS)
def test_a_connection_is_closed_when_it_is_no_more_shared_and_its_thread_has_ended(
    second: Connect, pool: object
) -> None:
    wrapper = shared(second, pool)
    wrapper.dec_thread_sharing()

    wait_until(lambda: wrapper.connection.closed, "the connection is closed")


@pytest.mark.parametrize("pool", POOLS)
def test_a_shared_connection_is_closed_when_no_code_can_use_it(
    second: Connect, pool: object
) -> None:
    wrapper = shared(second, pool)
    session = wrapper.connection
    del wrapper
    gc.collect()

    wait_until(lambda: session.closed, "the connection is closed")


class CustomCursor(base.Cursor):
    pass


@pytest.mark.parametrize(
    ("options", "factory"),
    [
        ({}, base.Cursor),
        ({"server_side_binding": True}, base.ServerBindingCursor),
        ({"cursor_factory": CustomCursor}, CustomCursor),
        ({"cursor_factory": psycopg.ClientCursor}, psycopg.ClientCursor),
    ],
)
def test_the_class_of_cursors_is_that_of_the_options_and_is_observed(
    second: Connect, options: dict[str, object], factory: type[psycopg.Cursor]
) -> None:
    wrapper = second(pool=ONE, **options)
    with wrapper.cursor() as cursor:
        assert wrapper.connection.cursor_factory is factory
        assert isinstance(cursor.cursor, factory)
        cursor.execute("SET search_path TO nowhere")
    wrapper.close()

    with wrapper.cursor() as cursor:
        cursor.execute("SHOW search_path")
        assert "nowhere" not in cursor.fetchone()[0]


def test_a_named_cursor_of_psycopg_is_closed_when_its_connection_is_given_back(
    second: Connect,
) -> None:
    wrapper = second(pool=ONE)
    wrapper.connect()
    left_open = wrapper.connection.cursor("left_open", withhold=True)
    left_open.execute("SELECT 1")
    wrapper.close()

    with wrapper.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors")
        assert cursor.fetchone() == (0,)
    wrapper.connection.close()  # psycopg does not know that the cursor is closed
    left_open.close()


def test_a_closed_connection_has_no_cursors(second: Connect) -> None:
    wrapper = second(pool=False)
    wrapper.connect()
    wrapper.connection.close()

    with pytest.raises(OperationalError, match="the connection is closed"):
        wrapper.cursor()
