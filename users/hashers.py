"""How passwords are hashed, and that it is done in the lane, whoever asks for it."""

from typing import Any

from django.contrib.auth import hashers

from users.lane import lane


class InLane(hashers.BasePasswordHasher):
    """Everything that takes long; raises LaneFull where no more requests may wait for it."""

    def encode(self, *arguments: Any, **options: Any) -> str:
        with lane.turn():
            return super().encode(*arguments, **options)

    def verify(self, *arguments: Any, **options: Any) -> bool:
        with lane.turn():
            return super().verify(*arguments, **options)


class Argon2Hasher(InLane, hashers.Argon2PasswordHasher):
    """argon2id with 19 MiB of memory, two passes and one lane, as OWASP's Password
    Storage Cheat Sheet recommends: a tenth of the CPU of Django's own parameters, so
    that a handful of log-ins does not hold up everybody else."""

    memory_cost = 19_456  # KiB
    time_cost = 2
    parallelism = 1


class PBKDF2Hasher(InLane, hashers.PBKDF2PasswordHasher):
    """Django's default, which other projects' users bring along; sixteen times the CPU."""
