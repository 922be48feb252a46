"""Everything between the ORM and PostgreSQL.

It knows no other app of a project. Code outside a room imports from the room, not from its files:

    settings/   environment variables to Django's DATABASES
    metrics/    counters and histograms, and their page for Prometheus
    backend/    Django's ENGINE: connections, and their pool
    prepared/   queries that are compiled and checked before the server takes requests
    requests/   middleware: deadlines, retries, idempotency keys
    health/     /health, /livez and /readyz
    serving/    what is checked before a server starts
    embedded/   a PostgreSQL for development; not part of a production install
"""
