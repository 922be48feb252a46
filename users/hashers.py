"""Password hashers that hash only in the password queue."""

from typing import Any

from django.contrib.auth import hashers

from users.password_queue import password_queue


class Queued(hashers.BasePasswordHasher):
    """Waits in the queue before it hashes. Both methods raise PasswordQueueFull."""

    def encode(self, *arguments: Any, **options: Any) -> str:
        with password_queue.turn():
            return super().encode(*arguments, **options)

    def verify(self, *arguments: Any, **options: Any) -> bool:
        with password_queue.turn():
            return super().verify(*arguments, **options)


class Argon2Hasher(Queued, hashers.Argon2PasswordHasher):
    """argon2id with 19 MiB of memory, two passes and parallelism 1, as OWASP's Password Storage
    Cheat Sheet recommends. It takes a tenth of the CPU time of Django's own parameters."""

    memory_cost = 19_456  # KiB
    time_cost = 2
    parallelism = 1


class PBKDF2Hasher(Queued, hashers.PBKDF2PasswordHasher):
    """Django's default, for users who are imported from other projects. It takes sixteen times
    the CPU time of `Argon2Hasher`."""
