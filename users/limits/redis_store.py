"""Counters in Redis, shared by all machines."""

from collections.abc import Mapping

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT = 0.25  # seconds, to connect and for each answer; then the machine uses its own counters
PREFIX = "conduit:"

# Redis runs a script as one transaction. It returns a number for each counter: the milliseconds
# until the counter ends if it has reached its limit, otherwise -1.
COUNT_UNLESS_FULL = """
    local waits, free = {}, true
    for i, key in ipairs(KEYS) do
        waits[i] = -1
        if tonumber(redis.call('GET', key) or 0) >= tonumber(ARGV[i + 2]) then
            waits[i], free = math.max(0, redis.call('PTTL', key)), false
        end
    end
    if free and ARGV[1] == '1' then
        for _, key in ipairs(KEYS) do
            if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, ARGV[2]) end
        end
    end
    return waits
"""


class RedisStore:
    """See `counters.Store`."""

    name = "Redis (CACHE_URL)"
    errors: tuple[type[Exception], ...] = (RedisError,)

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            # One immediate retry: an idle connection may have been closed.
            retry=Retry(NoBackoff(), 1),
        )
        self._script = self._client.register_script(COUNT_UNLESS_FULL)

    def full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        return self._run(limits, seconds, count=False)

    def count_unless_full(self, limits: Mapping[str, int], seconds: float) -> dict[str, float]:
        return self._run(limits, seconds, count=True)

    def location(self) -> str:
        options = self._client.connection_pool.connection_kwargs
        host, port = options.get("host", "localhost"), options.get("port", 6379)
        return f"Redis at {options.get('path') or f'{host}:{port}'}/{options.get('db') or 0}"

    def delete(self, key: str) -> None:
        self._client.delete(PREFIX + key)

    def delete_matching(self, pattern: str) -> int:
        keys = self._client.scan_iter(match=PREFIX + pattern, count=1000)
        return sum(self._client.delete(key) for key in keys)

    def _run(self, limits: Mapping[str, int], seconds: float, *, count: bool) -> dict[str, float]:
        keys = [PREFIX + key for key in limits]
        arguments = [int(count), int(seconds * 1000), *limits.values()]
        waits = self._script(keys, arguments)
        return {key: wait / 1000 for key, wait in zip(limits, waits, strict=True) if wait >= 0}
