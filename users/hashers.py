"""How passwords are hashed."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2Hasher(Argon2PasswordHasher):
    """argon2id with 19 MiB of memory, two passes and one lane, as OWASP's Password
    Storage Cheat Sheet recommends: a tenth of the CPU of Django's own parameters, so
    that a handful of log-ins does not hold up everybody else."""

    memory_cost = 19_456  # KiB
    time_cost = 2
    parallelism = 1
