"""Everything between the ORM and PostgreSQL.

It imports no other app. Code outside a room imports from the room, not from its files:

    settings/   Django's DATABASES from environment variables
    metrics/    counters and histograms, and their page for Prometheus
    backend/    Django's ENGINE: connections, and their pool
    prepared/   queries that are compiled and checked before the server takes requests
    requests/   middleware: deadlines, retries, idempotency keys
    health/     /health, /livez and /readyz
    serving/    checks before a server starts
    embedded/   a PostgreSQL for development; not part of a production install
"""
