"""Pools with connections to the test database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from database.backend.connection import Connection
from database.backend.outages import Outage
from database.backend.pool import Pool
from database.backend.sessions import SessionSetup
from database.settings.limits import Limits

MakePool = Callable[..., Pool]

LIMITS = set(Limits.__dataclass_fields__)


@contextmanager
def pools() -> Iterator[MakePool]:
    """`make_pool(max_size=1, ping_timeout=0.2)` opens a pool; the end of the block closes it."""
    opened = []

    def make(
        *, kind: type[Pool] = Pool, min_size: int = 1, max_size: int = 1, **changes: Any
    ) -> Pool:
        limits = Limits(**{name: changes.pop(name) for name in LIMITS & changes.keys()})
        params = connection.get_connection_params() | {"autocommit": True}
        params |= changes.pop("params", {})
        configure = changes.pop("configure", lambda session: None)
        setup = SessionSetup(Outage("test"), limits, lambda: params, configure)
        defaults: dict[str, Any] = {"resets": True, "timeout": 2.0, "max_waiting": 10}
        sizes = {"min_size": min_size, "max_size": max_size}
        pool = kind(setup, **defaults | sizes | changes)
        pool.open()
        opened.append(pool)
        return pool

    try:
        yield make
    finally:
        for pool in opened:
            pool.close()


@contextmanager
def taken(pool: Pool) -> Iterator[Connection]:
    session = pool.getconn()
    try:
        yield session
    finally:
        pool.putconn(session)


def value(counter: Any, **labels: str) -> float:
    """The current value of a counter."""
    samples = [s for metric in counter.collect() for s in metric.samples]
    return sum(
        float(s.value)
        for s in samples
        if s.name.endswith("_total") and labels.items() <= s.labels.items()
    )
