"""The position of the acknowledged writes in Redis, and the lease that says whether it is current.

The position never goes down. Each process that acknowledges a write raises it before. A write whose
process cannot reach Redis is acknowledged more than LEASE seconds after its commit.

Each process has a lease of its own, for LEASE seconds. To renew it, the process asks the primary
for its position, and raises the position in Redis to it. The lease counts from the moment before
the question. So while the lease is alive, the position in Redis covers every commit that is older
than LEASE, also a commit whose process cannot reach Redis. The lease uses only the clock of this
process, because the clock of Redis may stop, while its virtual machine is paused, or be set back.

The name of the key contains the run_id of Redis, which it chooses at its start, and a lease is for
one run_id. A Redis that was restarted from an old file, or replaced by a replica that was behind,
begins without a position.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import NamedTuple
from weakref import WeakSet

from redis import ConnectionPool, RedisError, TimeoutError
from redis.backoff import NoBackoff
from redis.retry import Retry

from database.positions.position import LEASE, Position, PositionsUnavailable
from database.positions.session import RedisSession

logger = logging.getLogger("database.positions")

TIMEOUT = 0.25  # seconds, to connect and for each answer: an answer takes 0.1 ms
PAUSE = 1.0  # seconds between two attempts while Redis does not answer

# Redis runs a script as one transaction.
RAISE = """
    local position = redis.call('GET', KEYS[1])
    if not position or position < ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
"""
# A server of an older timeline than that of the position is not the primary any more.
RENEW = """
    local position = redis.call('GET', KEYS[1])
    if position and string.sub(position, 1, 8) > string.sub(ARGV[1], 1, 8) then return 0 end
    if not position or position < ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
    local key = KEYS[1] .. ':synchronous'
    local since = redis.call('GET', key)
    if ARGV[2] == '0' then
        redis.call('DEL', key)
    elseif not since or string.sub(since, 1, 8) ~= string.sub(ARGV[1], 1, 8) then
        redis.call('SET', key, ARGV[1])
    end
    return 1
"""


class SharedPosition:
    def __init__(self, url: str, name: str) -> None:
        """`url` is a URL of redis-py; `name` is the name of the database cluster, and the first
        word of the key."""
        self._name = name
        self._pool = ConnectionPool.from_url(
            url,
            socket_connect_timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        self._sessions: WeakSet[RedisSession] = WeakSet()
        self._idle: deque[RedisSession] = deque(maxlen=64)
        self._lock = threading.Lock()
        self._retry_at = 0.0
        self._lease = _Lease(run_id="", until=-inf)
        self.error = ""
        """Why Redis does not answer; "" if it does."""

    def close(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, deque(maxlen=64)
        for session in list(idle):  # another thread may take one meanwhile
            session.close()

    def abandon(self) -> None:
        """After a fork, in the child: close its copies of the sockets. The parent goes on to use
        the connections."""
        for session in list(self._sessions):
            session.close()

    def read(self) -> tuple[Position | None, bool]:
        """The position, and whether the lease is alive. Raises PositionsUnavailable."""

        def read(session: RedisSession) -> tuple[Position | None, bool]:
            session.ask(has_lease=self._has_lease(session))
            return session.answer()

        return self._call(read)

    def ask(self) -> RedisSession | None:
        """Ask for what `read` returns, without waiting for the answer. The caller must fetch it
        with `answer`. None if no idle connection leads to Redis.

        To wait for Redis costs a read 50 µs of CPU time, most of it for going to sleep and waking
        up. A request that asks at its start does not wait.
        """
        if self.error:
            return None
        try:
            session = self._idle.pop()
        except IndexError:
            return None
        try:
            session.ask(has_lease=self._has_lease(session))
        except OSError:
            session.close()
            return None
        return session

    def answer(self, session: RedisSession) -> tuple[Position | None, bool] | None:
        """The answer to `ask`. None if the connection has broken: then `read` may help."""
        try:
            answer = session.answer()
        except (RedisError, OSError, ValueError) as error:
            session.close()
            if isinstance(error, TimeoutError):
                self._failed(error)  # `read` must not wait for a second timeout
            return None
        self._idle.append(session)
        return answer

    def _has_lease(self, session: RedisSession) -> bool:
        """Whether a lease is alive for the Redis of this connection.

        Call it before the question for the position: if another thread renews the lease meanwhile,
        the answer may have been sent before the position was raised.
        """
        lease = self._lease
        return lease.run_id == session.run_id and monotonic() < lease.until

    def raise_to(self, position: Position) -> None:
        """Raise the position, unless it is higher already. Raises PositionsUnavailable."""
        self._call(lambda session: session.run_script(RAISE, position))

    def renew(self, position: Position, since: float, *, is_synchronous: bool) -> bool:
        """Raise the position, and let the lease live until LEASE after `since`, a value of
        `time.monotonic()`. The primary must have told the position after `since`.
        `is_synchronous` says whether a standby has each later commit before it is acknowledged.

        False if the position in Redis is of a newer timeline, or if the connection to Redis was
        opened after `since`. Raises PositionsUnavailable.
        """
        renewed, session = self._call(
            lambda session: (session.run_script(RENEW, position, int(is_synchronous)), session)
        )
        # A newer connection may lead to a Redis that has replaced another one after `since`. The
        # other one may have got positions of later commits meanwhile.
        has_lease = bool(renewed) and session.opened_at <= since
        if has_lease:
            self._lease = _Lease(session.run_id, since + LEASE)
        return has_lease

    def synchronous_since(self) -> Position | None:
        """A position on the newest timeline since which a standby has each commit before it is
        acknowledged. None if replication was not synchronous when a lease was last renewed. Raises
        PositionsUnavailable."""
        return self._call(RedisSession.synchronous_since)

    def eviction_policy(self) -> str:
        """Which keys Redis deletes when its memory is full; "" without a limit of its memory.
        Raises PositionsUnavailable."""
        memory = self._call(lambda session: session.info("memory"))
        return memory.get("maxmemory_policy", "") if memory.get("maxmemory", "0") != "0" else ""

    def _call[T](self, work: Callable[[RedisSession], T]) -> T:
        """Call `work` with a connection. If an idle one turns out to be closed, a new one is tried
        once: a restart of Redis closes all."""
        if self.error and not self._may_retry():
            raise PositionsUnavailable(self.error)
        try:
            try:
                session, is_new = self._idle.pop(), False
            except IndexError:
                session, is_new = self._new_session(), True
            try:
                result = work(session)
            except (RedisError, OSError) as error:
                session.close()
                self._idle.clear()
                # A second timeout would double the time that a request waits.
                if is_new or self.error or isinstance(error, TimeoutError):
                    raise
                session = self._new_session()
                result = work(session)
        except (RedisError, OSError, ValueError) as error:
            self._failed(error)
            raise PositionsUnavailable(self.error) from error
        self._idle.append(session)
        if self.error:
            self.error = ""
            logger.warning("Redis answers again; standbys serve reads again.")
        return result

    def _new_session(self) -> RedisSession:
        session = RedisSession(self._pool, self._name)
        self._sessions.add(session)
        return session

    def _may_retry(self) -> bool:
        """True for one caller every PAUSE seconds."""
        with self._lock:
            if monotonic() < self._retry_at:
                return False
            self._retry_at = monotonic() + PAUSE
            return True

    def _failed(self, error: Exception) -> None:
        with self._lock:
            first, self.error = not self.error, f"{type(error).__name__}: {error}"
            self._retry_at = monotonic() + PAUSE
        if first:
            logger.error(
                "Redis (CACHE_URL) does not answer: %s. Reads go to the primary, and each write"
                " waits until every server has replayed it, for at most about 2 s.",
                error,
            )


class _Lease(NamedTuple):
    run_id: str
    until: float
    """A value of `time.monotonic()`."""
